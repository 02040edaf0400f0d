// Node's HTTP/2 client against the gateway. One scenario a run, on one connection unless it says otherwise:
//
//     node http2.js SCENARIO PORT CA [FILE]
//
// Prints "done" at the end; a mistake is an exception, and exit code 1.
"use strict";

const assert = require("assert");
const fs = require("fs");
const http2 = require("http2");
const tls = require("tls");

const [scenario, port, caFile, file] = process.argv.slice(2);
const ca = fs.readFileSync(caFile);

function connect(name) {
    return new Promise((resolve, reject) => {
        const session = http2.connect(`https://${name}:${port}`, {
            createConnection: () =>
                tls.connect({ host: "127.0.0.1", port, servername: name, ca, ALPNProtocols: ["h2"] }),
        });
        session.on("error", reject);
        session.on("remoteSettings", () => resolve(session));
    });
}

// What came of a request, once it is over; `give` writes its body.
function answer(request, give) {
    return new Promise((resolve, reject) => {
        const got = { interim: [], trailers: {}, pieces: [] };
        request.on("headers", (fields) => got.interim.push(fields));
        request.on("response", (fields) => (got.fields = fields));
        request.on("trailers", (fields) => (got.trailers = fields));
        request.on("data", (piece) => got.pieces.push(piece));
        request.on("error", reject);
        request.on("close", () => {
            got.status = got.fields ? got.fields[":status"] : undefined;
            got.body = Buffer.concat(got.pieces);
            got.code = request.rstCode;
            resolve(got);
        });
        give(request);
    });
}

function get(session, path, fields) {
    return answer(session.request({ ":path": path, ...fields }), (request) => request.end());
}

function post(session, path, body, fields) {
    return answer(session.request({ ":path": path, ":method": "POST", ...fields }), (request) => request.end(body));
}

function expectGood(got) {
    assert.strictEqual(got.status, 200, got.body.toString());
    assert.strictEqual(got.code, http2.constants.NGHTTP2_NO_ERROR);
    return got;
}

const scenarios = {
    // Far more than may be under way at once: the client has to keep the rest back.
    async streams() {
        const session = await connect("a.test");
        const most = session.remoteSettings.maxConcurrentStreams;

        assert(most >= 100 && most < 1000, `${most} at once`);
        const all = [];
        for (let i = 0; i < 1000; i++) all.push(get(session, `/numbered?${i}`));
        (await Promise.all(all)).forEach((got, i) => {
            expectGood(got);
            assert(got.body.toString().includes(`GET /numbered?${i} HTTP/1.1\r\n`), got.body.toString());
        });
        session.close();
    },

    // Every one has its own bytes, which come back.
    async bodies() {
        const session = await connect("a.test");
        const sent = [], all = [];

        for (let i = 0; i < 64; i++) {
            sent.push(Buffer.alloc(100000 + i, `body ${i} `));
            all.push(post(session, "/echo", sent[i]));
        }
        (await Promise.all(all)).forEach((got, i) => assert(expectGood(got).body.equals(sent[i]), `body ${i}`));
        session.close();
    },

    // A long one each way at once, and short ones beside them.
    async long() {
        const session = await connect("a.test");
        const bytes = fs.readFileSync(file);
        const up = post(session, "/count", bytes), down = get(session, "/pattern");

        for (let i = 0; i < 20; i++) expectGood(await get(session, "/short"));
        assert.strictEqual(expectGood(await up).body.toString(), `${bytes.length} bytes as they should be`);
        const got = expectGood(await down);
        assert.strictEqual(Number(got.fields["content-length"]), bytes.length);
        assert(got.body.equals(bytes));
        session.close();
    },

    // Interim responses, trailers both ways, HEAD, an empty answer.
    async parts() {
        const session = await connect("a.test");
        let got = expectGood(await get(session, "/hints"));

        assert.strictEqual(got.interim.length, 1);
        assert.strictEqual(got.interim[0][":status"], 103);
        assert.strictEqual(got.interim[0].link, "</style.css>; rel=preload");
        assert.strictEqual(got.body.toString(), "hinted");
        const request = session.request({ ":path": "/echo", ":method": "POST" }, { waitForTrailers: true });
        request.on("wantTrailers", () => request.sendTrailers({ "x-sum": "42" }));
        got = expectGood(await answer(request, (r) => r.end("with a sum")));
        assert.strictEqual(got.body.toString(), "with a sum");
        assert.strictEqual(got.trailers["x-sum"], "42");
        got = expectGood(await get(session, "/sized", { ":method": "HEAD" }));
        assert.strictEqual(got.fields["content-length"], "5");
        assert.strictEqual(got.body.length, 0);
        got = await get(session, "/empty");
        assert.strictEqual(got.status, 204);
        assert.strictEqual(got.code, http2.constants.NGHTTP2_NO_ERROR);
        assert.strictEqual(got.body.length, 0);
        session.close();
    },

    // The backend sees that the request is given up, and what is beside it goes on. `/gone` answers
    // once no request is left at the other backend.
    async cancel() {
        const session = await connect("a.test");
        const requests = [];

        for (let i = 0; i < 20; i++) {
            const request = session.request({ ":path": "/endless" });
            request.end();
            requests.push(
                new Promise((resolve, reject) => {
                    request.on("error", reject);
                    request.on("close", resolve);
                    request.once("data", () => request.close(http2.constants.NGHTTP2_CANCEL));
                }),
            );
        }
        const beside = get(session, "/beside");
        await Promise.all(requests);
        expectGood(await beside);
        assert.strictEqual(expectGood(await get(session, "/gone")).body.toString(), "gone");
        session.close();
    },

    // An answer that comes before the end of what it answers is whole, and the connection goes on. (More
    // than 10 MB on one connection are too many for the client itself, by its maxSessionMemory.)
    async early() {
        const session = await connect("a.test");
        const bytes = fs.readFileSync(file).subarray(0, 1 << 20);

        for (let i = 0; i < 5; i++) {
            const got = await post(session, "/small", bytes);
            assert.strictEqual(got.status, 413);
            assert(got.body.toString().includes("body_too_large"));
            assert.strictEqual(got.code, http2.constants.NGHTTP2_NO_ERROR);
        }
        expectGood(await post(session, "/echo", "small enough"));
        session.close();
    },

    // What breaks off at the backend never ends as if it were whole.
    async cut() {
        const session = await connect("a.test");

        await assert.rejects(get(session, "/cut"), { code: "ERR_HTTP2_STREAM_ERROR" });
        expectGood(await get(session, "/beside"));
        session.close();
    },

    // Extended CONNECT (RFC 8441): several tunnels beside requests.
    async tunnels() {
        const session = await connect("a.test");

        assert.strictEqual(session.remoteSettings.enableConnectProtocol, true);
        const tunnel = async (i) => {
            const request = session.request(
                {
                    ":method": "CONNECT",
                    ":protocol": "websocket",
                    ":scheme": "https",
                    ":authority": `a.test:${port}`,
                    ":path": `/tunnel?${i}`,
                    "sec-websocket-version": "13",
                },
                { endStream: false },
            );
            const got = await answer(request, () => {
                let heard = 0;
                request.on("data", (piece) => {
                    heard += piece.length;
                    if (heard === 50000) request.end("last");
                });
                for (let n = 0; n < 5; n++) request.write(Buffer.alloc(10000, `${i}`));
            });
            assert.strictEqual(expectGood(got).fields["sec-websocket-accept"], undefined);
            assert.strictEqual(got.body.toString(), `${i}`.repeat(50000) + "lastbye");
        };
        const all = [0, 1, 2, 3, 4].map(tunnel);
        for (let i = 0; i < 5; i++) all.push(get(session, "/beside").then(expectGood));
        await Promise.all(all);
        session.close();
    },

    // The gateway drains while requests are under way: they end well, and the connection by itself.
    async drain() {
        const session = await connect("a.test");
        const codes = [];

        session.on("goaway", (code) => codes.push(code));
        const closed = new Promise((resolve) => session.on("close", resolve));
        const all = [];
        for (let i = 0; i < 10; i++) all.push(get(session, "/held"));
        for (const got of await Promise.all(all)) assert.strictEqual(expectGood(got).body.toString(), "served");
        await closed;
        assert(codes.length > 0 && codes.every((code) => code === http2.constants.NGHTTP2_NO_ERROR), `${codes}`);
    },

    // RFC 9110 section 15.5.20: a.test's connection is no place for b.test, whose certificate is another,
    // nor for c.test, whose clients are asked for one; what it is for goes on.
    async misdirected() {
        const session = await connect("a.test");

        expectGood(await get(session, "/", { ":authority": "a.test" }));
        for (const other of ["b.test", "c.test", `B.Test.:${port}`]) {
            const got = await get(session, "/", { ":authority": other });
            assert.strictEqual(got.status, 421, other);
            assert(got.body.toString().includes("misdirected"));
            expectGood(await get(session, "/", { ":authority": "a.test" }));
            const again = await connect(other.split(":")[0].toLowerCase().replace(/\.$/, ""));
            expectGood(await get(again, "/", { ":authority": other }));
            again.close();
        }
        session.close();
    },
};

scenarios[scenario]().then(
    () => console.log("done"),
    (error) => {
        console.error(error);
        process.exit(1);
    },
);
