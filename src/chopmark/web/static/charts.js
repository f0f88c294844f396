// Draws what /console/charts.json says, in the page's own colours.
"use strict";
(() => {
  const draw = async () => {
    const place = document.querySelector("[data-charts]");
    if (!place) return;
    const said = await (await fetch(place.dataset.charts)).json();
    const days = said.days.map((day) => Date.parse(day + "T00:00:00Z") / 1000);
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const inks = ["--good", "--accent", "--care", "--quiet", "--ink"];
    const dashes = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 5]];
    const plot = (name, labels, rows, unit) => {
      const into = place.querySelector(`[data-plot=${name}]`);
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px " + colour("--sans") };
      const size = () => ({ width: into.clientWidth, height: 260 });
      const chart = new uPlot({
        ...size(), tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC"),
        axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => tick + unit) }],
        scales: { y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.05] } },
        series: [{ label: "Day", value: "{YYYY}-{MM}-{DD}" }, ...labels.map((label, i) => ({
          label, stroke: colour(inks[i % inks.length]), dash: dashes[i % dashes.length], width: 2, spanGaps: true, points: { size: 6 },
        }))],
      }, [days, ...rows], into);
      new ResizeObserver(() => chart.setSize(size())).observe(into);
    };
    plot("volume", ["Made", "Refused", "Failed"], [said.made, said.refused, said.failed], "");
    const most = said.latency.median.map((ms, i) => [ms, i]).sort((a, b) => b[0] - a[0]).slice(0, 5).map((pair) => pair[1]);
    plot("latency", most.map((i) => said.latency.names[i]), most.map((i) => said.latency.by_day[i]), " ms");
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", draw); else draw();
})();
