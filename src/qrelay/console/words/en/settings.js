// The settings.

export default {
  "settings.title": { one: "{count} setting is not as it comes", other: "{count} settings are not as they come" },
  "settings.title.none": "Everything is as it comes",
  "settings.sub": "What holds now, and where it comes from. A setting is changed there, and the gateway started anew. Secrets are masked.",
  "settings.search": "Search",
  "settings.show": "Which are shown",
  "settings.show.all": "All",
  "settings.show.set": "Set by you",
  "settings.found": { one: "{count} setting shown", other: "{count} settings shown" },
  "settings.from": "from {source}",
  "settings.default": "default",
  "settings.empty": "not set",
  "settings.older": "Older names: {part}",
  "settings.nothing": "No setting fits",
};
