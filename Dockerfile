# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/freshet ./cmd/freshet && mkdir -p /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/freshet /usr/local/bin/freshet
# Rows are kept here; without a volume they come back from the changelog topics.
COPY --from=build --chown=nonroot:nonroot /out/data /var/lib/freshet
ENV FRESHET_DATA_DIR=/var/lib/freshet
VOLUME /var/lib/freshet
WORKDIR /var/lib/freshet
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/freshet"]
CMD ["help"]
