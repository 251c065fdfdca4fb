# docker build -f deploy/client.Dockerfile -t renga-client .
FROM python:3.11-slim
RUN useradd --create-home renga
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir torch==2.13.0 \
 && pip install --no-cache-dir . && rm -rf /src
USER renga
WORKDIR /home/renga
RUN renga models fetch SmolLM2-135M-Instruct gemma-3-270m
VOLUME /state
ENTRYPOINT ["renga", "join", "--state", "/state"]
