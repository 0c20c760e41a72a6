# One image, roles by command. Node is here for the steps role; a site that runs no steps here may leave it out.
FROM node:20-bookworm-slim AS steps
WORKDIR /src/steps
COPY steps/ ./
RUN npm ci --no-audit --no-fund && npm run build

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY requirements/runtime.txt requirements/dev.txt ./requirements/
RUN python -m venv /opt/waybill && /opt/waybill/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
    && python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/dev.txt
COPY . .
COPY --from=steps /src/steps/dist ./steps/dist
RUN /opt/build/bin/python -m build --wheel --no-isolation && /opt/waybill/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.11-slim-bookworm
COPY --from=steps /usr/local/bin/node /usr/local/bin/node
COPY --from=wheel /opt/waybill /opt/waybill
ENV PATH=/opt/waybill/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --create-home waybill
USER waybill
ENTRYPOINT []
CMD ["waybill-site", "--help"]
