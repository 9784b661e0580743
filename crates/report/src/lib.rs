//! Text, JSON and CSV reports in Japanese and English.
