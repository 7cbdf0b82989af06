"""Entry point of ``python -m dicom_node`` and of the console script ``dicom-node``."""

from dicom_node.cli.app import main

if __name__ == "__main__":
    main()
