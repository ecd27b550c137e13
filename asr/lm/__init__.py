"""Language models: n-grams (counting, modified Kneser-Ney, ARPA files) and recurrent networks."""
