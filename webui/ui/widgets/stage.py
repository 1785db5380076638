"""The stage: what is being made or shown, the actions under it, and the strip of what was made. Lives in `assets/stage.js`."""

from webui.ui.widgets.markup import icon, icon_button


def markup(gallery_id: str) -> str:
    """`gallery_id` is A1111's element id for the place of the results."""
    return f"""
<section class="stage" aria-label="Stage">
  <div class="pic" id="stage_pic">
    <div class="frame" id="stage_frame" hidden>
      <img id="stage_picture" alt="" draggable="true">
    </div>
    <div class="empty" id="stage_empty" hidden></div>
    <div class="hud" id="stage_hud" role="status" aria-live="off" hidden></div>
    <div class="trouble" id="stage_trouble" role="alert" hidden></div>
    <div class="hairline" id="stage_progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" hidden>
      <i></i>
    </div>
  </div>
  <div class="acts" id="stage_actions" role="toolbar" aria-label="What to do with this picture">
    <button type="button" class="btn" data-act="vary" title="Once more with a new seed">Vary</button>
    <div class="menu-host">
      <button type="button" class="btn" data-act="reuse" aria-haspopup="menu" aria-expanded="false">Reuse{icon("chevron-down")}</button>
    </div>
    <span class="grow"></span>
    {icon_button("star", "Star", "act_star", "Star (S)")}
    <button type="button" class="btn download" id="act_download" title="Save the full picture" aria-label="Download">
      {icon("download")}<span class="word">Download</span>
    </button>
    {icon_button("info", "Details", "act_info", "Details (I)")}
    {icon_button("maximize", "Full stage", "act_full", "Full stage (F)")}
    {icon_button("trash", "Delete", "act_delete", "Delete; can be undone")}
  </div>
  <div class="strip" id="{gallery_id}" role="listbox" aria-label="Pictures made" aria-orientation="horizontal" tabindex="-1"></div>
</section>
"""
