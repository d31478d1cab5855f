# The pipe: one static program in an empty image. Built natively for each platform; see RELEASING.md.
FROM rust:1.95.0-slim-bookworm AS builder
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS='-C target-feature=+crt-static' \
       cargo build --release --locked --package depot-build --target "$target" \
    && install -D "target/$target/release/depot-build" /out/depot-build

FROM scratch
LABEL org.opencontainers.image.title="depot-build" \
      org.opencontainers.image.description="A Bitbucket pipe that builds container images on Depot's remote BuildKit machines" \
      org.opencontainers.image.source="https://bitbucket.org/org/depot-build" \
      org.opencontainers.image.licenses="Apache-2.0"
# glibc asks DNS first without this, and Docker writes the daemon's name into /etc/hosts.
COPY <<NSSWITCH /etc/nsswitch.conf
hosts: files dns
NSSWITCH
COPY LICENSE README.md pipe.yml /
COPY --from=builder /out/depot-build /depot-build
# As root, which pipes need: the clone and Bitbucket's storage folders belong to other users.
ENTRYPOINT ["/depot-build"]
