# Saldo in an image: the server, the worker and the commands are one binary.
#
# The crates that Saldo is built of are a layer of their own, made by cargo-chef. A cache mount would be shorter, but it
# stays on the machine that has built; a layer goes to a registry, and comes back on Cloud Build and GitHub, whose
# machines are new every time.

FROM rust:1.95-slim-trixie AS chef
# For what is written in C: ring and mimalloc.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/* \
    && cargo install --locked --version 0.1.78 cargo-chef
WORKDIR /saldo

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /saldo/recipe.json recipe.json
# The image has a database beside it: the Postgres that the feature `payload` brings along stays out.
RUN cargo chef cook --locked --release --no-default-features --recipe-path recipe.json
COPY . .
RUN cargo build --locked --release --no-default-features --bin saldo && mkdir /data

# glibc, libgcc, and whom to trust by HTTPS: no shell, no packages. Of the same Debian as the build.
FROM gcr.io/distroless/cc-debian13:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Saldo" \
      org.opencontainers.image.description="The event-sourced backend for selling AI by the credit." \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /saldo/target/release/saldo /usr/local/bin/saldo
# What a volume that is mounted here begins as: a folder of the user's own.
COPY --from=build --chown=65532:65532 /data /data
ENV SALDO_LISTEN=0.0.0.0:8080 \
    SALDO_DATA_DIR=/data
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
# A node that is told so answers what it has begun, for twenty-four seconds at most, and ends.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["saldo", "health"]
ENTRYPOINT ["saldo"]
CMD ["serve"]
