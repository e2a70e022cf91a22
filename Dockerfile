# syntax=docker/dockerfile:1
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ make cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY build build
COPY src src
COPY proto proto
COPY migrations migrations
COPY static static
COPY templates templates
COPY locales locales
COPY docs/COMPATIBILITY.md docs/COMPATIBILITY.md
# Integration tests and benchmarks are named by Cargo.toml but not built here.
RUN mkdir -p tests/it bench/compare && touch tests/it/main.rs bench/compare/main.rs bench/one_port.rs bench/control.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --features otel --locked --bin vestibule && cp target/dist/vestibule /vestibule

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --no-create-home vestibule && install -d -o vestibule -m 0700 /data
COPY --from=build /vestibule /usr/local/bin/vestibule
# By number, so that Kubernetes can tell that it is not root.
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 6870
ENV VESTIBULE_LISTEN=0.0.0.0:6870 VESTIBULE_DATA_DIR=/data \
    VESTIBULE_GENERATE_CREDENTIALS=true VESTIBULE_ISSUER=from_host
HEALTHCHECK --interval=5s --timeout=6s --start-period=5s CMD ["vestibule", "healthcheck"]
ENTRYPOINT ["vestibule"]
