# Every image of the stack, from one distribution: `make up` builds them (stack/images.py), one target each.
# No frontend is named above this line, since naming one would have it pulled from a registry.
ARG BASE_IMAGE=debian:trixie-slim

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
ARG SOURCE_DATE_EPOCH=0
LABEL org.opencontainers.image.vendor="Portcullis" \
      org.opencontainers.image.licenses="Apache-2.0"
# resolv.conf(5): the engine asks outside for the name of who is gone, where nobody may answer: not for twice 5 s each time.
ENV LANG=C.UTF-8 LC_ALL=C.UTF-8 RES_OPTIONS="timeout:1 attempts:2"
COPY containers/paced.sh /usr/local/bin/paced

# ---- Python: what is needed to install, and what is needed to run, apart

FROM base AS python-build
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/install.sh python3 python3-venv ca-certificates
WORKDIR /opt/portcullis
COPY requirements/run.txt /build/run.txt
# `ca` is the CA bundle of whoever sits behind a proxy that opens TLS; it is in this one step and in no layer.
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /build/pip && python3 -m venv --without-pip --copies venv && \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi && \
    /build/pip/bin/pip --python venv/bin/python install --quiet --disable-pip-version-check --no-compile \
        --require-hashes --only-binary :all: --requirement /build/run.txt && \
    rm -f venv/bin/activate* venv/bin/Activate.ps1 && \
    venv/bin/python -m compileall -q -j 2 --invalidation-mode unchecked-hash venv/lib
COPY app app
COPY certs certs
COPY stack stack
COPY nginx nginx
COPY monitoring/__init__.py monitoring/catalogue.py monitoring/panel.py monitoring/
# Nothing can be compiled in a read-only container. By hash, not by date: two builds of one source are the same.
RUN venv/bin/python -m compileall -q -j 2 --invalidation-mode unchecked-hash app certs stack nginx monitoring

# ---- The chat server, and the one-shot commands about its store and keys

FROM base AS app
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/install.sh python3 ca-certificates tzdata && \
    sh /containers/user.sh portcullis 10001 /var/lib/portcullis /var/lib/portcullis/run /var/lib/portcullis/data \
        /var/lib/portcullis/secrets
COPY --from=python-build /opt/portcullis/venv /opt/portcullis/venv
COPY --from=python-build /opt/portcullis/app /opt/portcullis/app
COPY --from=python-build /opt/portcullis/certs /opt/portcullis/certs
COPY --from=python-build /opt/portcullis/monitoring /opt/portcullis/monitoring
COPY --from=python-build /opt/portcullis/stack /opt/portcullis/stack
ENV PATH=/opt/portcullis/venv/bin:/usr/bin:/bin PYTHONPATH=/opt/portcullis PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 PORTCULLIS_STATE=/var/lib/portcullis HOME=/tmp
USER 10001:10001
WORKDIR /var/lib/portcullis/run
LABEL org.opencontainers.image.title="portcullis app"
CMD ["python", "-m", "stack.contained_app"]

# ---- The edge: nginx alone; its configuration is rendered by the image below

FROM base AS edge
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/install.sh nginx && \
    sh /containers/user.sh portcullis-edge 10002 /var/lib/portcullis /var/lib/portcullis/edge \
        /var/lib/portcullis/logs /var/lib/portcullis/tls && \
    install -d -m 0750 -o 10001 -g 10001 /var/lib/portcullis/run && \
    rm -rf /var/www /usr/share/nginx && \
    nginx -V 2>/etc/portcullis-nginx
COPY containers/edge/ /etc/portcullis/
USER 10002:10002
WORKDIR /var/lib/portcullis
LABEL org.opencontainers.image.title="portcullis edge"
STOPSIGNAL SIGQUIT
CMD ["nginx", "-p", "/var/lib/portcullis/edge", "-e", "stderr", \
     "-c", "/var/lib/portcullis/edge/nginx.conf", "-g", "daemon off;"]

# ---- Beside the edge: renders its configuration, rotates its log, and counts what it answered

FROM base AS counter
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/install.sh python3 mtail && \
    sh /containers/user.sh portcullis-edge 10002 /var/lib/portcullis /var/lib/portcullis/edge \
        /var/lib/portcullis/logs /var/lib/portcullis/tls && \
    install -d -m 0750 -o 10001 -g 10001 /var/lib/portcullis/run
COPY --from=edge /etc/portcullis-nginx /etc/portcullis-nginx
COPY --from=python-build /opt/portcullis/stack /opt/portcullis/stack
COPY --from=python-build /opt/portcullis/nginx /opt/portcullis/nginx
ENV PYTHONPATH=/opt/portcullis PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 10002:10002
WORKDIR /var/lib/portcullis
LABEL org.opencontainers.image.title="portcullis counter"
CMD ["python3", "-m", "stack.counter"]

# ---- In a cluster, beside the edge: carries its connections to the apps on other hosts

FROM base AS relay
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/install.sh haproxy && \
    sh /containers/user.sh portcullis-edge 10002 /var/lib/portcullis /var/lib/portcullis/run && \
    rm -rf /etc/haproxy /var/lib/haproxy
COPY containers/relay/haproxy.cfg /etc/portcullis/
USER 10002:10002
WORKDIR /var/lib/portcullis
LABEL org.opencontainers.image.title="portcullis relay"
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-db", "-f", "/etc/portcullis/haproxy.cfg"]

# ---- Stores

FROM base AS valkey
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/user.sh valkey 10003 /var/lib/valkey && \
    sh /containers/install.sh valkey-server && \
    install -d -o 10003 -g 10003 -m 0750 /var/lib/valkey
COPY containers/valkey/ /etc/portcullis/
USER 10003:10003
WORKDIR /var/lib/valkey
LABEL org.opencontainers.image.title="portcullis valkey"
CMD ["valkey-server", "/etc/portcullis/valkey.conf"]

FROM base AS postgres
ARG POSTGRES_MAJOR=17
# The just-in-time compiler is off, and its library is as large as everything else together.
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/user.sh postgres 10004 /var/lib/postgresql && \
    install -d /etc/postgresql-common && \
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf && \
    sh /containers/install.sh "postgresql-${POSTGRES_MAJOR}" age pgbackrest && \
    dpkg --purge --force-depends libllvm19 libz3-4 && \
    rm -rf /etc/ssl/private/* /etc/ssl/certs/ssl-cert-snakeoil.pem /etc/pgbackrest.conf /var/log/dpkg.log && \
    install -d -o 10004 -g 10004 -m 0700 /var/lib/postgresql /var/lib/pgbackrest && rm -rf /var/lib/postgresql/* && \
    install -d -o 10004 -g 10004 -m 0755 /var/lib/portcullis/facts
ENV PATH=/usr/lib/postgresql/${POSTGRES_MAJOR}/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data \
    POSTGRES_MAJOR=${POSTGRES_MAJOR} HOME=/tmp PGHOST=/run/postgresql \
    PGBACKREST_STANZA=portcullis PGBACKREST_LOG_LEVEL_FILE=off
COPY containers/postgres/ /etc/portcullis/
USER 10004:10004
WORKDIR /var/lib/postgresql
LABEL org.opencontainers.image.title="portcullis postgres"
STOPSIGNAL SIGINT
CMD ["sh", "/etc/portcullis/start.sh"]

# ---- Watching

FROM base AS prometheus
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/user.sh portcullis-prometheus 10005 /var/lib/prometheus && \
    sh /containers/install.sh prometheus && \
    rm -rf /etc/prometheus /var/lib/prometheus/* && install -d -o 10005 -g 10005 -m 0750 /var/lib/prometheus
COPY containers/answers.sh /usr/local/bin/answers
COPY monitoring/prometheus.yml monitoring/cluster.yml /etc/prometheus/
COPY monitoring/rules /etc/prometheus/rules
RUN promtool check config /etc/prometheus/prometheus.yml /etc/prometheus/cluster.yml
USER 10005:10005
WORKDIR /var/lib/prometheus
LABEL org.opencontainers.image.title="portcullis prometheus"
CMD ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/var/lib/prometheus", \
     "--storage.tsdb.retention.size=2GB", "--web.listen-address=:9090", "--log.level=warn"]

FROM base AS alertmanager
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/user.sh alertmanager 10006 /var/lib/alertmanager && \
    sh /containers/install.sh prometheus-alertmanager && \
    rm -rf /etc/prometheus /var/lib/prometheus
COPY containers/answers.sh /usr/local/bin/answers
USER 10006:10006
WORKDIR /var/lib/alertmanager
LABEL org.opencontainers.image.title="portcullis alertmanager"
CMD ["prometheus-alertmanager", "--config.file=/run/secrets/alertmanager.yml", \
     "--storage.path=/var/lib/alertmanager", "--cluster.listen-address=", "--log.level=warn"]

# One image for the three of them: each is one program, and they change together.
FROM base AS exporters
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/user.sh portcullis-exporter 10007 /var/lib/portcullis && \
    sh /containers/install.sh prometheus-node-exporter prometheus-postgres-exporter prometheus-redis-exporter && \
    rm -rf /var/lib/prometheus && echo 'auth_modules: {}' >/var/lib/portcullis/postgres_exporter.yml && \
    install -d -o 10004 -g 10004 -m 0755 /var/lib/portcullis/facts
COPY containers/answers.sh /usr/local/bin/answers
USER 10007:10007
WORKDIR /var/lib/portcullis
LABEL org.opencontainers.image.title="portcullis exporters"
CMD ["prometheus-node-exporter"]

# ---- What runs the playbooks, for whoever has an engine and nothing else: ansible/controller

FROM base AS controller
RUN --mount=type=bind,source=containers,target=/containers \
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    sh /containers/install.sh python3 python3-venv ca-certificates openssh-client docker-cli docker-buildx docker-compose
COPY requirements/ansible.txt /build/
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /build/pip && python3 -m venv --without-pip /opt/ansible && \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi && \
    /build/pip/bin/pip --python /opt/ansible/bin/python install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /build/ansible.txt && \
    rm -rf /build
ENV PATH=/opt/ansible/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
# Whom it runs as and where is said by ansible/controller; by itself it may do nothing.
USER 65534:65534
LABEL org.opencontainers.image.title="portcullis controller"
CMD ["ansible-playbook", "--version"]
