"""Transcription: recordings of any length to transcripts, and transcripts to files."""
