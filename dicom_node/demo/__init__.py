"""Parts of the demo: a stand-in PACS, previews of the results, a reader of reports."""
