# Sallyport in a container: build stage, then nothing but the program and its shared libraries.
#
#   docker build -t sallyport .
#   docker run --read-only --cap-drop=all -v /etc/sallyport:/etc/sallyport:ro -p 443:8443 sallyport

FROM debian:bookworm-slim AS build
WORKDIR /src
# First what seldom changes: packages and BoringSSL stay cached when a source changes.
COPY scripts/setup scripts/debian-mirror scripts/
COPY scripts/boringssl scripts/boringssl
RUN scripts/setup build
COPY . .
RUN cmake --preset release -DSALLYPORT_TESTS=OFF \
    && cmake --build --preset release --target sallyport \
    && strip --strip-debug build/release/sallyport \
    && build/release/sallyport version

FROM debian:bookworm-slim
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libbrotli1 libc-ares2 libcrypt1 libev4 libhiredis0.14 libjansson4 libnghttp2-14 \
        libseccomp2 libzstd1 zlib1g \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log \
    && groupadd --system --gid 10001 sallyport \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin sallyport \
    && install -d -o 10001 -g 10001 -m 0750 /run/sallyport \
    && install -d -m 0755 /etc/sallyport
COPY --from=build /src/build/release/sallyport /usr/local/bin/sallyport

USER 10001:10001
# The admin socket; a volume, because the root file system is meant to be read-only.
VOLUME /run/sallyport
# Mount the folder here (routes.json and its certificates), not single files: a file that is mounted
# alone stays the old one when it is replaced by a rename.
WORKDIR /etc/sallyport
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["sallyport", "healthcheck"]
ENTRYPOINT ["sallyport"]
CMD ["run"]
