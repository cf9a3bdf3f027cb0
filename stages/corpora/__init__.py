"""Bytes from outside, and their way to data sets: crawls, downloads, documents."""

from __future__ import annotations

from stages.core.params import Choices
from stages.corpora import census, documents, download, segmentation, truth
from stages.corpora.embedded import crawl as embedded
from stages.corpora.web import crawl

CRAWL: Choices = {"crawl": crawl.crawl, "embedded": embedded.embedded, "download": download.download}
PREPROCESS: Choices = {
    "documents": documents.documents,
    "segmentation": segmentation.segmentation,
    "site_truth": truth.site_truth,
}
TRAIN: Choices = {"census": census.train}
EVALUATE: Choices = {"census": census.evaluate}
