# Two small images: the server (the default target) and the load generator
# (--target loadgen). Each is one static program, the certificates of public
# authorities and, for the server, an empty /data. They run without
# root, on a read-only file system.
#
#   docker build -t lockstep .
#   docker run --read-only -p 8000:8000 -v lockstep:/data lockstep
#
# The same source gives the same layers, wherever and whenever. All files have the time
# of the argument SOURCE_DATE_EPOCH, which "make image" sets to that of the commit, and
# the image says that it was made then.
#
# Base images are arguments, for mirrors and for a base with a shell:
#   --build-arg BASE_IMAGE=gcr.io/distroless/static-debian12:debug-nonroot
ARG GO_IMAGE=golang:1.26.8-alpine
ARG BASE_IMAGE=scratch

# What says which modules there are. The workspace has many; none can be forgotten here.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name go.mod ! -name go.sum ! -name go.work ! -name go.work.sum -delete && \
    find . -depth -type d -exec rmdir {} + 2>/dev/null || true

# The modules are a layer of their own. It is the same as long as those files are, whatever the time.
# Go compiles for any platform on the machine's own, without emulation.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS modules
WORKDIR /src
ENV CGO_ENABLED=0
COPY --from=manifests /src /src
RUN go mod download

# What is in an image beside its program. All files have one date: so a layer is the same whenever
# it is made.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS files
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /out/etc/ssl/certs /out/data && \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ && \
    find /out -exec touch -d @$SOURCE_DATE_EPOCH {} +

# From here on nothing is downloaded.
FROM modules AS source
ENV GOPROXY=off
COPY . .

# The program for browsers is the same on every platform.
FROM source AS program
RUN --mount=type=cache,target=/root/.cache/go-build \
    cd static && go run ./wasmbuild

FROM program AS build-web
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
ARG SOURCE_DATE_EPOCH=0
# The same source gives the same bytes: no paths, revisions and build ids in
# them but the version that was asked for.
RUN --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags program \
    -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/web ./cmd/web && \
    touch -d @$SOURCE_DATE_EPOCH /out/web

FROM source AS build-loadgen
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -buildid= -X main.release=$VERSION" -o /out/loadgen ./tools/loadgen && \
    touch -d @$SOURCE_DATE_EPOCH /out/loadgen

FROM ${BASE_IMAGE} AS loadgen
ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="Lockstep load generator" \
      org.opencontainers.image.description="Thousands of tabs and one verdict" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"
COPY --from=files /out/etc /etc
COPY --from=build-loadgen /out/loadgen /loadgen
USER 65532:65532
# It ends by itself, and its exit code is the verdict: there is no health.
HEALTHCHECK NONE
ENTRYPOINT ["/loadgen"]

FROM ${BASE_IMAGE} AS web
ARG VERSION=
ARG REVISION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title="Lockstep" \
      org.opencontainers.image.description="Keeps every open browser tab in step" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"
COPY --from=files /out/etc /etc
COPY --from=files --chown=65532:65532 /out/data /data
COPY --from=build-web /out/web /web
# The default store is data/lockstep.db. With a store elsewhere nothing is
# written at all.
WORKDIR /
# PORT and not ADDR, because platforms set it; ADDR wins over both. Not every
# engine has an /etc/hosts that knows localhost.
ENV PORT=8000 ADMIN_ADDR=127.0.0.1:0
EXPOSE 8000
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/web", "-healthcheck"]
ENTRYPOINT ["/web"]
