package gallery

// sections are all of the gallery; what is to be their source is the name of their template.
func sections() []Section {
	return []Section{
		{"document", "Document", "A whole document: head, theme, style sheets, scripts.", []Example{
			{Name: "A page of its own", Source: "documentWhole", Show: documentWhole(), Whole: true},
		}},
		{"layout", "Layout", "Header, content and footer of a page, with a link that skips to the content. Inside of pages, ls-stack sets things below one another, ls-row beside one another, ls-tiles in a grid, and ls-card puts a frame around them.", []Example{
			{Name: "A page with all its parts", Source: "layoutWhole", Show: layoutWhole(), Whole: true},
			{Name: "Stack, row, tiles, card", Source: "layoutParts", Show: layoutParts()},
		}},
		{"themeswitch", "Theme switch", "Light, dark, or what the system prefers. The choice works without scripts; the kit’s script has the browser remember it.", []Example{
			{Name: "At the end of a header", Source: "themeSwitch", Show: themeSwitch(), Whole: true},
		}},
		{"nav", "Nav", "Links to the parts of an application. The page that is shown is marked.", []Example{
			{Name: "In a line", Source: "navRow", Show: navRow()},
			{Name: "In a column", Source: "navColumn", Show: navColumn()},
		}},
		{"button", "Button", "What a person presses. A part of a page has one that is primary at most.", []Example{
			{Name: "Variants", Source: "buttonVariants", Show: buttonVariants()},
			{Name: "States", Source: "buttonStates", Show: buttonStates()},
		}},
		{"field", "Field", "The label, the hint and the error of a control. An error takes the place of the hint: nothing moves when it comes.", []Example{
			{Name: "With a control of your own", Source: "fieldOwn", Show: fieldOwn()},
		}},
		{"input", "Input", "A field for a line of text.", []Example{
			{Name: "Hint, error, optional", Source: "inputText", Show: inputText()},
			{Name: "Disabled, read-only", Source: "inputStates", Show: inputStates()},
		}},
		{"textarea", "Textarea", "A field for a text, which grows with it.", []Example{
			{Name: "Hint, error", Source: "textareaText", Show: textareaText()},
		}},
		{"select", "Select", "A field with one of several options.", []Example{
			{Name: "Nothing chosen, chosen, error", Source: "selectOne", Show: selectOne()},
		}},
		{"checkbox", "Checkbox", "A box that is checked or not. All of its label can be pressed.", []Example{
			{Name: "States", Source: "checkboxStates", Show: checkboxStates()},
		}},
		{"radio", "Radio", "One of several options, all of which are in sight.", []Example{
			{Name: "In a column, with hints", Source: "radioColumn", Show: radioColumn()},
			{Name: "In a line, with an error", Source: "radioInline", Show: radioInline()},
		}},
		{"statusbadge", "Status badge", "How the page’s connection is. It is as wide as its longest word: it moves nothing.", []Example{
			{Name: "All states", Source: "statusBadges", Show: statusBadges()},
		}},
		{"waiting", "Waiting", "How much waits to be sent, and whether they outlive the page.", []Example{
			{Name: "One, many", Source: "waitingClicks", Show: waitingClicks()},
		}},
		{"notice", "Notice", "Why something was not taken.", []Example{
			{Name: "With a text", Source: "noticeText", Show: noticeText()},
		}},
		{"messages", "Messages", "All that a live page says of itself, as a bar at its end. Pages of package serve have one.", []Example{
			{Name: "At the end of a page", Source: "messagesAll", Show: messagesAll(), Whole: true},
		}},
		{"flash", "Flash and toasts", "A message about something that has happened: in its place, or over the page.", []Example{
			{Name: "Tones", Source: "flashTones", Show: flashTones()},
			{Name: "Over the page", Source: "flashToasts", Show: flashToasts()},
		}},
		{"dialog", "Dialog", "Something over the page, without a script: Escape, and a click beside it, close it.", []Example{
			{Name: "With a form", Source: "dialogForm", Show: dialogForm()},
		}},
		{"confirm", "Confirm", "A question before something that can’t be undone. The answer that does nothing has the focus.", []Example{
			{Name: "Before something is deleted", Source: "confirmDelete", Show: confirmDelete()},
		}},
		{"dropdown", "Dropdown", "A button that opens links, or anything else, below itself.", []Example{
			{Name: "With links", Source: "dropdownLinks", Show: dropdownLinks()},
		}},
		{"tabs", "Tabs", "One of several parts, without a script: the choice is a group of radio buttons, with their keys.", []Example{
			{Name: "Three parts", Source: "tabsThree", Show: tabsThree()},
		}},
		{"table", "Table", "Rows of cells, which can be sorted by following a link. It scrolls by itself where it is too wide.", []Example{
			{Name: "Sorted", Source: "tableSorted", Show: tableSorted()},
		}},
		{"pagination", "Pagination", "Other pages of something long. It has the same width on all of them.", []Example{
			{Name: "Of many pages, and of few", Source: "paginationMany", Show: paginationMany()},
		}},
		{"emptystate", "Empty state", "What stands where there is nothing yet, and what can be done about it.", []Example{
			{Name: "Of a list", Source: "emptyStateList", Show: emptyStateList()},
		}},
		{"skeleton", "Skeleton", "The shape of what is not there yet, so that nothing moves when it comes.", []Example{
			{Name: "With and without a picture", Source: "skeletonLines", Show: skeletonLines()},
		}},
		{"progress", "Progress", "How much of something is done.", []Example{
			{Name: "Known, in words, unknown", Source: "progressBars", Show: progressBars()},
		}},
		{"avatar", "Avatar", "A picture of a person, or their initials on a colour that is always theirs.", []Example{
			{Name: "Sizes, presence, picture", Source: "avatars", Show: avatars()},
		}},
		{"presence", "Presence", "Who is here.", []Example{
			{Name: "Many, few, nobody", Source: "presenceMany", Show: presenceMany()},
		}},
		{"activityfeed", "Activity feed", "What has been done, by whom, and when.", []Example{
			{Name: "The newest first", Source: "activityFeedNewest", Show: activityFeedNewest()},
			{Name: "Nothing yet", Source: "activityFeedEmpty", Show: activityFeedEmpty()},
		}},
		{"chatmessage", "Chat message", "What somebody has said: an entry of a log. A person’s own stand at the other side.", []Example{
			{Name: "Of others, own, not yet confirmed", Source: "chatMessages", Show: chatMessages()},
		}},
		{"pollbars", "Poll bars", "How many have given each answer.", []Example{
			{Name: "With one’s own vote", Source: "pollBarsLunch", Show: pollBarsLunch()},
		}},
		{"stattile", "Stat tile", "A number that is worth a tile.", []Example{
			{Name: "With a change, with a course", Source: "statTiles", Show: statTiles()},
		}},
		{"sparkline", "Sparkline", "A course of numbers as small as a word.", []Example{
			{Name: "Whole, and with a gap", Source: "sparklines", Show: sparklines()},
		}},
		{"timeseries", "Time series", "How numbers have changed over time.", []Example{
			{Name: "One line", Source: "timeSeriesOne", Show: timeSeriesOne()},
			{Name: "Three lines, and a gap", Source: "timeSeriesThree", Show: timeSeriesThree()},
		}},
		{"barchart", "Bar chart", "Numbers beside one another.", []Example{
			{Name: "A week", Source: "barChartDays", Show: barChartDays()},
			{Name: "Below zero", Source: "barChartSigned", Show: barChartSigned()},
		}},
		{"histogram", "Histogram", "How often values were how large.", []Example{
			{Name: "With marks", Source: "histogramLatency", Show: histogramLatency()},
		}},
		{"codeblock", "Code block", "Code, with a button that copies it.", []Example{
			{Name: "Of a file", Source: "codeBlockFile", Show: codeBlockFile()},
		}},
		{"kbd", "Keys", "A key, or several that are pressed together.", []Example{
			{Name: "In a sentence", Source: "kbdKeys", Show: kbdKeys()},
		}},
	}
}
