"""What scripts/bench's report makes of canned figures, and that its columns, targets and gateways fit each other."""

import copy
import json
import pathlib
import sys
import unittest
import xml.dom.minidom

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import columns  # noqa: E402
import gateways  # noqa: E402
import report  # noqa: E402

RUN = {
    "date": "2026-11-30", "command": "scripts/bench --rounds 3", "commit": "abc",
    "machine": {"cpu": "A <CPU>", "cores": 2, "kernel": "6.1"}, "cipher": "AES", "group": "X25519",
    "gateways": {"sallyport": "sallyport 1", "nginx": "nginx 2", "hitch": "hitch 3"},
    "columns": [
        {"key": "keepalive", "label": "keep-alive", "unit": "µs", "notes": {},
         "rounds": {"sallyport": [[9, 0.2], [10, 0.01], [12, 0]], "nginx": [[21, 0], [20, 0.05], [30, 0]],
                    "hitch": [[15, 0.3], [16, 0.4], [17, 0]]}},
        {"key": "h2", "label": "HTTP/2", "unit": "µs", "notes": {},
         "rounds": {"sallyport": [[1234, 0]], "nginx": [[617, 0.5]]}},
        {"key": "calls", "label": "calls", "unit": "", "notes": {"nginx": "read 2.00"},
         "rounds": {"sallyport": [[4.25, None]], "nginx": [[6.4, None]]}},
    ],
    "targets": [["keepalive", "nginx", 0.5], ["h2", "nginx", 1.5], ["calls", None, 4.3], ["h2", "haproxy", 1],
                ["idle", None, 3.5]],
}


class Report(unittest.TestCase):
    def test_best_is_of_undisturbed_rounds(self):
        self.assertEqual(report.best([(9, 0.2), (10, 0.01)]), (10, False))
        self.assertEqual(report.best([(9, 0.2), (8, 0.3)]), (8, True))
        self.assertEqual(report.best([(7, None)]), (7, False))

    def test_median_is_of_all_and_marked_when_most_were_disturbed(self):
        self.assertEqual(report.median([(9, 0.2), (10, 0.01), (12, 0)]), (10, False))
        self.assertEqual(report.median([(9, 0.2), (10, 0.1), (12, 0)]), (10, True))

    def test_table_has_ratios_to_the_first(self):
        self.assertEqual(report.table(RUN, report.best).splitlines(), [
            "| | sallyport 1 | nginx 2 | hitch 3 |", "|---|---:|---:|---:|",
            "| keep-alive, µs | 10.0 | 20.0 (2.00x) | 17.0 (1.70x) |",
            "| HTTP/2, µs | 1,234 | 617* (0.50x) | – |",
            "| calls | 4.25 | 6.40 (1.51x) | – |"])

    def test_targets_are_met_at_their_bound_and_left_out_without_figures(self):
        self.assertEqual(report.targets(RUN).splitlines()[2:], [
            "| keep-alive, by nginx's | 0.5 | 0.500 | 0.476 | yes |",
            "| HTTP/2, by nginx's | 1.5 | 2.000 | 2.000 | no |",
            "| calls | 4.3 | 4.25 | 4.25 | yes |"])

    def test_disturbed_rounds_are_told(self):
        self.assertIn("more than 5% of the core in 4 of 11 rounds", report.disturbances(RUN))
        self.assertIn("50.0% in the worst (HTTP/2, nginx)", report.disturbances(RUN))

    def test_whole_says_how_it_was_taken(self):
        text = report.whole(RUN)
        for part in ("scripts/bench --rounds 3", "A <CPU>", "2026-11-30", "calls, nginx: read 2.00."):
            self.assertIn(part, text)

    def test_without_sallyport_there_are_no_targets(self):
        run = copy.deepcopy(RUN)
        for column in run["columns"]:
            column["rounds"].pop("sallyport")
        run["gateways"].pop("sallyport")
        self.assertEqual(report.targets(run), "")
        self.assertIn("| keep-alive, µs | 20.0 | 17.0 (0.85x) |", report.table(run, report.best))

    def test_json_brings_the_same_report(self):
        self.assertEqual(report.whole(json.loads(report.as_json(RUN))), report.whole(RUN))

    def test_readme_is_replaced_between_its_markers_alone(self):
        text = f"before\n{report.START}\nold\n{report.END}\nafter\n"
        once = report.replace_marked(text, "new")
        self.assertEqual(once, f"before\n{report.START}\nnew\n{report.END}\nafter\n")
        self.assertEqual(report.replace_marked(once, "new"), once)
        with self.assertRaises(ValueError):
            report.replace_marked("no markers", "new")
        readme = gateways.ROOT / "README.md"
        self.assertIn(report.END, report.replace_marked(readme.read_text(), report.for_readme(RUN)))

    def test_chart_is_xml_with_a_bar_for_each_figure(self):
        document = xml.dom.minidom.parseString(report.chart(RUN))
        bars = [bar for bar in document.getElementsByTagName("rect") if bar.getAttribute("class") != "ground"]
        self.assertEqual(len(bars), 7)
        own = [bar for bar in bars if bar.getAttribute("class") == "own"]
        self.assertEqual(len(own), 3)
        self.assertEqual(float(own[0].getAttribute("width")) * 2,
                         float(bars[1].getAttribute("width")))


class Columns(unittest.TestCase):
    def test_targets_name_columns_and_gateways(self):
        keys = {column.key for column in columns.COLUMNS}
        self.assertEqual(len(keys), len(columns.COLUMNS))
        for key, base, _ in columns.TARGETS:
            self.assertIn(key, keys)
            self.assertIn(base, (None, *gateways.NAMES))

    def test_every_gateway_can_be_started(self):
        for name in gateways.NAMES:
            self.assertTrue(callable(getattr(gateways.Gateway, f"command_{name}")))


if __name__ == "__main__":
    unittest.main()
