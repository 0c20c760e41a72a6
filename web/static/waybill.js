// The pages work without this file. It adds: relative times, the choice of light or dark, and the live log of a task.
"use strict";

const root = document.documentElement;

function relative(moment) {
  const seconds = Math.round((Date.now() - moment.getTime()) / 1000);
  if (Math.abs(seconds) < 5) return "now";
  const steps = [["s", 60], ["min", 60], ["h", 24], ["d", Infinity]];
  let value = Math.abs(seconds);
  for (const [unit, size] of steps) {
    if (value < size) return seconds >= 0 ? `${value} ${unit} ago` : `in ${value} ${unit}`;
    value = Math.floor(value / size);
  }
  return "";
}

function showTimes() {
  for (const element of document.querySelectorAll("time[title]")) {
    element.textContent = relative(new Date(element.dateTime));
  }
}

function chooseTheme() {
  const button = document.getElementById("theme");
  const order = ["system", "light", "dark"];
  const show = (theme) => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let current = localStorage.getItem("theme") ?? "system";
  show(current);
  button.hidden = false;
  button.addEventListener("click", () => {
    current = order[(order.indexOf(current) + 1) % order.length];
    localStorage.setItem("theme", current);
    show(current);
  });
}

function line(entry) {
  const item = document.createElement("li");
  item.id = `L${entry.seq}`;
  item.className = entry.level;
  const number = document.createElement("a");
  number.href = `#L${entry.seq}`;
  number.className = "number";
  number.textContent = entry.seq;
  const time = document.createElement("time");
  time.dateTime = entry.occurred_at;
  time.className = "fixed";
  time.textContent = new Date(entry.occurred_at).toISOString().slice(11, 19);
  const level = document.createElement("span");
  level.className = "level";
  level.textContent = entry.level;
  const message = document.createElement("span");
  message.textContent = entry.message;
  item.append(number, time, level, message);
  return item;
}

function size(count) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (count < 1024) return `${count.toFixed(unit === "B" ? 0 : 1)} ${unit}`;
    count /= 1024;
  }
  return `${count.toFixed(1)} GiB`;
}

function follow(log) {
  const list = log.querySelector("ol");
  let last = Number(log.dataset.after);
  const source = new EventSource(log.dataset.events);
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  source.addEventListener("log", (event) => {
    const entry = JSON.parse(event.data);
    if (entry.seq <= last) return;
    last = entry.seq;
    const stay = atEnd();
    list.append(line(entry));
    if (stay) log.scrollTop = log.scrollHeight;
  });
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    document.getElementById("details").textContent = state.details;
    const badge = document.querySelector("#state .badge");
    if (badge && !badge.textContent.includes(state.state)) badge.textContent = state.state;
  });
  source.addEventListener("progress", (event) => {
    const state = JSON.parse(event.data);
    const done = state.progress_done ?? state.done, total = state.progress_total ?? state.total;
    if (!total) return;
    const bar = document.getElementById("progress");
    bar.hidden = false;
    bar.max = total;
    bar.value = done;
    document.getElementById("bytes").textContent = `${size(done)} of ${size(total)}`;
  });
  source.addEventListener("end", () => { source.close(); location.reload(); });
}

showTimes();
setInterval(showTimes, 15000);
chooseTheme();
const log = document.getElementById("log");
if (log) {
  log.scrollTop = log.scrollHeight;
  if (!("ended" in log.dataset)) follow(log);
}
