"""Names of the measures of several speakers, apart from the counting, whose imports --help does not wait for."""

MEASURES = {"cp": "cpWER", "tcp": "tcpWER", "orc": "ORC-WER", "tcorc": "tcORC-WER"}
TIMED = {"tcp", "tcorc"}
COLLAR = 5.0  # seconds, as CHiME-7 and later challenges have it
