// The settings.

export default {
  "settings.title": { other: "{count} 项设置不是默认值" },
  "settings.title.none": "所有设置均为默认值",
  "settings.sub": "当前生效的值及其来源。请在来源处修改，然后重启网关。机密内容已隐藏。",
  "settings.search": "搜索",
  "settings.show": "显示范围",
  "settings.show.all": "全部",
  "settings.show.set": "已修改",
  "settings.found": { other: "显示 {count} 项设置" },
  "settings.from": "来自 {source}",
  "settings.default": "默认",
  "settings.empty": "未设置",
  "settings.older": "旧名称：{part}",
  "settings.nothing": "没有符合的设置",
};
