"""Bytes from outside, and their way to data sets: crawls, downloads, documents."""

from __future__ import annotations

from stages.core.params import Choices
from stages.corpora import census, documents, download, segmentation, select, term_list, truth
from stages.corpora.clue import files as clue_files
from stages.corpora.clue import made as clue_made
from stages.corpora.couplets import files as couplet_files
from stages.corpora.couplets import lexicon
from stages.corpora.embedded import crawl as embedded
from stages.corpora.images import digits, idx, pictures, stacked, without
from stages.corpora.pairs import files, phrasings
from stages.corpora.questions import system as questions
from stages.corpora.sequences import factors, sentences, topics
from stages.corpora.triples import system as triples
from stages.corpora.web import crawl

CRAWL: Choices = {"crawl": crawl.crawl, "embedded": embedded.embedded, "download": download.download}
PREPROCESS: Choices = {
    "clue": clue_files.files,
    "clue_made": clue_made.made,
    "couplet_files": couplet_files.couplet_files,
    "couplet_lexicon": lexicon.couplet_lexicon,
    "documents": documents.documents,
    "segmentation": segmentation.segmentation,
    "digits": digits.digits,
    "factors": factors.factors,
    "idx": idx.idx,
    "pairs": files.pairs,
    "phrasings": phrasings.phrasings,
    "pictures": pictures.pictures,
    "stacked": stacked.stacked,
    "without": without.without,
    "select": select.select,
    "sentences": sentences.sentences,
    "site_truth": truth.site_truth,
    "term_list": term_list.term_list,
    "topics": topics.topics,
}
TRAIN: Choices = {"census": census.train, "triples": triples.train, "questions": questions.train}
EVALUATE: Choices = {"census": census.evaluate, "triples": triples.evaluate, "questions": questions.evaluate}
