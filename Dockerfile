# The dashboard, without a GPU:  docker build -t fp8-explorer . && docker run --rm -p 8501:8501 fp8-explorer
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE
# An index that has torch's build without CUDA saves some gigabytes: --build-arg PIP_EXTRA_INDEX_URL=…
ARG PIP_EXTRA_INDEX_URL

WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt

COPY .streamlit .streamlit
COPY fp8core fp8core
COPY data data
COPY pages pages
COPY app.py LICENSE ./

RUN useradd --create-home explorer
USER explorer
# The loops are compiled for the processor that they run on: this saves the first start on this one.
RUN python -m fp8core compile
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.port", "8501", "--server.address", "0.0.0.0", "--server.headless", "true"]
