"""What is done to text: stages that know words, pages and languages, and nothing of a cluster."""

from stages.compiled import install

install()
