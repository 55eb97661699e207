# The collector's own image has no tool for a health check, so its binary moves to an image with wget.

FROM otel/opentelemetry-collector:0.135.0 AS collector

FROM busybox:1.37
COPY --from=collector /otelcol /otelcol
COPY --from=collector /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY deploy/otel-collector.yaml /etc/otelcol/config.yaml
USER 10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:13133/"]
ENTRYPOINT ["/otelcol"]
CMD ["--config=/etc/otelcol/config.yaml"]
