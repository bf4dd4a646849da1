/** Whether a file is surely a zip: its name or its type says so. */
export const isZip = ({ name, type }) => /zip/.test(type) || /\.zip$/i.test(name);
