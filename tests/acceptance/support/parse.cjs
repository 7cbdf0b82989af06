// Reads one DICOM file with a library for JavaScript and tells its SOP class and the bytes of its pixels.
//   NODE_PATH=.../node_modules node parse.cjs dcmjs|dwv FILE
"use strict";
const fs = require("fs");
const [library, file] = process.argv.slice(2);
const bytes = fs.readFileSync(file);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);

const readers = {
  dcmjs: () => {
    const { DicomMessage, DicomMetaDictionary } = require("dcmjs").data;
    const read = DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(buffer).dict);
    return [read.SOPClassUID, read.PixelData ?? read.FloatPixelData];
  },
  dwv: () => {
    const { DicomParser } = require("dwv");
    const parser = new DicomParser();
    parser.parse(buffer);
    const elements = parser.getDicomElements();
    const pixels = elements["7FE00010"] ?? elements["7FE00008"];
    return [elements["00080016"].value[0], pixels && pixels.value];
  },
};

const [sopClass, pixels] = readers[library]();
const size = [pixels ?? []].flat().reduce((sum, part) => sum + part.byteLength, 0);
process.stdout.write(`\n${JSON.stringify({ sopClass, size })}\n`);
