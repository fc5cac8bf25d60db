# Two small images: the server (the default target) and the load generator
# (--target loadgen). Each is one static program, the certificates of public
# authorities and, for the server, an empty /data. They run without
# root, on a read-only file system.
#
#   docker build -t lockstep .
#   docker run --read-only -p 8000:8000 -v lockstep:/data lockstep
#
# Base images are arguments, for mirrors and for a base with a shell:
#   --build-arg BASE_IMAGE=gcr.io/distroless/static-debian12:debug-nonroot
ARG GO_IMAGE=golang:1.26.8-alpine
ARG BASE_IMAGE=scratch

# Go compiles for any platform on the machine's own, without emulation.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS source
WORKDIR /src
ENV CGO_ENABLED=0
COPY . .

# The program for browsers is the same on every platform.
FROM source AS program
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    cd static && go run ./wasmbuild

FROM program AS build-web
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
# The same source gives the same bytes: no paths, revisions and build ids in
# them but the version that was asked for.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags program \
    -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/web ./cmd/web && mkdir /out/data

FROM source AS build-loadgen
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/loadgen ./tools/loadgen

FROM ${BASE_IMAGE} AS loadgen
LABEL org.opencontainers.image.title="Lockstep load generator" \
      org.opencontainers.image.licenses="MIT"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-loadgen /out/loadgen /loadgen
USER 65532:65532
# It ends by itself, and its exit code is the verdict: there is no health.
HEALTHCHECK NONE
ENTRYPOINT ["/loadgen"]

FROM ${BASE_IMAGE} AS web
ARG VERSION=
LABEL org.opencontainers.image.title="Lockstep" \
      org.opencontainers.image.description="Keeps every open browser tab in step" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-web --chown=65532:65532 /out/data /data
COPY --from=build-web /out/web /web
# The default store is data/lockstep.db. With a store elsewhere nothing is
# written at all.
WORKDIR /
VOLUME /data
# PORT and not ADDR, because platforms set it; ADDR wins over both. Not every
# engine has an /etc/hosts that knows localhost.
ENV PORT=8000 ADMIN_ADDR=127.0.0.1:0
EXPOSE 8000
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/web", "-healthcheck"]
ENTRYPOINT ["/web"]
