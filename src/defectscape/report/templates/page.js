(function () {
  "use strict";
  function plots() { return Array.prototype.slice.call(document.querySelectorAll(".js-plotly-plot")); }
  function fit() { plots().forEach(function (plot) { if (plot.offsetParent) { Plotly.Plots.resize(plot); } }); }
  document.addEventListener("toggle", fit, true);
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
    plots().forEach(function (plot) {
      Plotly.relayout(plot, { width: plot.closest(".grid") ? 325 : 660, autosize: false });
    });
  });
  window.addEventListener("afterprint", function () {
    plots().forEach(function (plot) { Plotly.relayout(plot, { width: null, autosize: true }); });
    fit();
  });
  fit();
})();
