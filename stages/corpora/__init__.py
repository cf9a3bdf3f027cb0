"""Bytes from outside, and their way to data sets: crawls, downloads, documents."""

from __future__ import annotations

from stages.core.params import Choices
from stages.corpora import census, crawl, documents, download, segmentation, truth

CRAWL: Choices = {"crawl": crawl.crawl, "download": download.download}
PREPROCESS: Choices = {
    "documents": documents.documents,
    "segmentation": segmentation.segmentation,
    "site_truth": truth.site_truth,
}
TRAIN: Choices = {"census": census.train}
EVALUATE: Choices = {"census": census.evaluate}
