# One image; what runs is the argument: up, run smtpd_ingress, run outbound, run events, run api, or any command.
# Written without a container engine at hand: nobody has built it yet.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/postjet && /opt/postjet/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 2525 --home-dir /var/lib/postjet --create-home postjet
COPY --from=build /opt/postjet /opt/postjet
ENV PATH=/opt/postjet/bin:$PATH POSTJET_DATA_DIR=/var/lib/postjet
USER postjet
WORKDIR /var/lib/postjet
VOLUME /var/lib/postjet
EXPOSE 2525
STOPSIGNAL SIGTERM
ENTRYPOINT ["postjet"]
CMD ["up"]
