(function () {
  "use strict";
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  });
  function structure(canvas) {
    var data = JSON.parse(canvas.dataset.structure), tilt = -0.35, spin = 0.6, from = null;
    function turned(p) {
      var x = Math.cos(spin) * p[0] + Math.sin(spin) * p[1], y = -Math.sin(spin) * p[0] + Math.cos(spin) * p[1];
      return [x, Math.cos(tilt) * p[2] - Math.sin(tilt) * y, Math.sin(tilt) * p[2] + Math.cos(tilt) * y];
    }
    function draw() {
      var wide = canvas.clientWidth, high = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
      if (!wide) { return; }
      canvas.width = wide * ratio; canvas.height = high * ratio;
      var pen = canvas.getContext("2d"), scale = Math.min(wide, high) / (2.25 * data.reach);
      pen.setTransform(ratio, 0, 0, ratio, wide * ratio / 2, high * ratio / 2);
      var places = data.atoms.map(function (a) { return turned(a.slice(1)); }), parts = [];
      data.bonds.forEach(function (b) {
        parts.push({ depth: (places[b[0]][2] + places[b[1]][2]) / 2 - 0.01, bond: b });
      });
      places.forEach(function (p, i) { parts.push({ depth: p[2], atom: i }); });
      parts.push({ depth: 0, site: true });
      parts.sort(function (a, b) { return a.depth - b.depth; });
      parts.forEach(function (part) {
        pen.globalAlpha = 0.45 + 0.55 * Math.max(0, Math.min(1, (part.depth + data.reach) / (2 * data.reach)));
        if (part.bond) {
          var a = places[part.bond[0]], b = places[part.bond[1]];
          pen.beginPath(); pen.moveTo(scale * a[0], -scale * a[1]); pen.lineTo(scale * b[0], -scale * b[1]);
          pen.lineWidth = 0.16 * scale; pen.strokeStyle = "#8a8a8a"; pen.stroke();
        } else if (part.site) {
          pen.globalAlpha = 1; pen.lineWidth = 1.5; pen.strokeStyle = "#d55e00"; pen.beginPath();
          pen.moveTo(-6, -6); pen.lineTo(6, 6); pen.moveTo(-6, 6); pen.lineTo(6, -6); pen.stroke();
        } else {
          var p = places[part.atom], kind = data.elements[data.atoms[part.atom][0]];
          pen.beginPath(); pen.arc(scale * p[0], -scale * p[1], scale * kind.radius, 0, 2 * Math.PI);
          var faint = pen.globalAlpha;
          pen.globalAlpha = 1; pen.fillStyle = "#ffffff"; pen.fill(); pen.globalAlpha = faint;
          pen.fillStyle = kind.colour; pen.fill(); pen.lineWidth = 1; pen.strokeStyle = "#444444"; pen.stroke();
        }
      });
      pen.globalAlpha = 1; pen.font = "12px sans-serif"; pen.textBaseline = "middle";
      data.elements.forEach(function (kind, i) {
        var x = -wide / 2 + 14, y = -high / 2 + 14 + 18 * i;
        pen.beginPath(); pen.arc(x, y, 6, 0, 2 * Math.PI); pen.fillStyle = kind.colour; pen.fill();
        pen.strokeStyle = "#444444"; pen.stroke(); pen.fillStyle = "#1a1a1a"; pen.fillText(kind.name, x + 11, y);
      });
      canvas.dataset.drawn = data.atoms.length;
    }
    canvas.addEventListener("pointerdown", function (e) { from = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointermove", function (e) {
      if (!from) { return; }
      spin += (e.clientX - from[0]) / 120; tilt += (e.clientY - from[1]) / 120;
      from = [e.clientX, e.clientY]; draw();
    });
    ["pointerup", "pointercancel"].forEach(function (name) { canvas.addEventListener(name, function () { from = null; }); });
    canvas.addEventListener("keydown", function (e) {
      var turn = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
      if (!turn) { return; }
      e.preventDefault(); spin += turn[0] / 8; tilt += turn[1] / 8; draw();
    });
    window.addEventListener("resize", draw);
    draw();
  }
  document.querySelectorAll("canvas.structure").forEach(structure);
})();
