import "../api.js";
