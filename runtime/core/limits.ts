/**
 * Every bound of the system in one place, each with its reason. What a person may change (how many
 * agents at once, the default timeout) comes from the environment instead and starts from here.
 */

// What people and agents may hand in. Instruction, result, message, state and frame are measured as bytes
// of UTF-8 JSON, and each bound is made of those before it: what one door admits no later one refuses.

/** Longest instruction: a long specification fits; it is repeated in every prompt. */
export const INSTRUCTION_BYTES_MAX = 100 * 1024;
/** Largest HTTP request body: an instruction with JSON escapes around it, and room for the rest. */
export const REQUEST_BYTES_MAX = 1024 * 1024;
/** Largest tool result that is put into a conversation; above it, head and tail are kept. */
export const TOOL_RESULT_BYTES_MAX = 100 * 1024;
/** Largest result of a task: its parent has to read it in one turn. */
export const RESULT_BYTES_MAX = 100 * 1024;
/** Largest file that a workspace tool writes or reads: beyond it a model cannot use the text. */
export const FILE_BYTES_MAX = 1024 * 1024;
/** Files and folders that one listing shows before it says that there are more. */
export const LISTED_FILES_MAX = 1_000;
/** Matches that one search shows before it says that there are more. */
export const SEARCH_MATCHES_MAX = 200;
/** Characters of a line that a search shows: a line of code whole, the head of a minified file. */
export const SEARCH_LINE_CHARS_MAX = 300;
/** Longest pattern of a search: beyond it nobody knows any more what it matches. */
export const PATTERN_CHARS_MAX = 500;
/** Longest path inside a workspace: a quarter of what Linux takes, for the workspace stands before it. */
export const PATH_CHARS_MAX = 1_024;
/** Longest command of the terminal: a script; a longer one is a file. */
export const COMMAND_CHARS_MAX = 10_000;
/** Largest document, as JSON: documents are part of every later prompt of the tasks that they are attached to. */
export const DOCUMENT_BYTES_MAX = 64 * 1024;

/** Longest name of an agent, a document or a tool: providers take tools' names up to this. */
export const NAME_CHARS_MAX = 64;
/** Longest id or cursor that is looked for: more than twice an ULID. */
export const ID_CHARS_MAX = 64;
/** Longest comment of a person on a review: pages of it, far below what an agent can read in a turn. */
export const COMMENT_CHARS_MAX = 10_000;
/** Highest priority of a tree: ten steps, one digit, are as many as a person tells apart. */
export const PRIORITY_MAX = 9;
/** Priority of a tree that names none: five steps are below it and four above. */
export const PRIORITY = 5;
/** Most agents at once that may be asked for: about what all cells together have room for. */
export const AGENTS_AT_ONCE_MAX = 1_000;
/** Longest pause between two looks for stuck tasks that may be asked for: short timeouts shorten it anyway. */
export const CHECK_INTERVAL_SECONDS_MAX = 60 * 60;
/** Shortest token of an administrator: 16 random characters are not guessed. */
export const ADMIN_TOKEN_CHARS_MIN = 16;
/** Longest timeout of a task: one that has not moved for a day is stuck, whatever it does. */
export const TIMEOUT_SECONDS_MAX = 24 * 60 * 60;

// How far one sentence may grow.

/** Depth of a tree when its budget names none: three levels of breakdown with room to spare. */
export const DEPTH_MAX = 12;
/** Tasks in one tree when its budget names none. */
export const TASKS_PER_TREE_MAX = 500;
/** Model turns of one task when neither its agent nor its budget names any. */
export const TURNS_MAX = 50;
/** Most that a budget may allow instead: nothing sensible is deeper than twice the default. */
export const BUDGET_DEPTH_MAX = 2 * DEPTH_MAX;
/** More tasks than a tree page, or a person, could follow. */
export const BUDGET_TASKS_MAX = 20 * TASKS_PER_TREE_MAX;
/** A task that needs more turns has lost its way: its work belongs into several tasks. */
export const BUDGET_TURNS_MAX = 1_000;
/** Calls that one model turn may make side by side; more are refused as an error result. */
export const CALLS_PER_TURN_MAX = 32;
/** Longest id and name of a call, as a model makes them up: providers' own ids have some forty. */
export const CALL_CHARS_MAX = 200;
/** Replies without `end_task` that are answered with a reminder before the text is taken as result. */
export const END_NUDGES_MAX = 2;
/** The same call with the same result, so many times in a row, counts as stuck. */
export const REPEATED_CALLS_MAX = 5;

/** Characters of a document's description, taken from its own text: one sentence. */
export const DESCRIPTION_CHARS_MAX = 200;
/** Longest description of an agent or a document that somebody writes: a long sentence in every list. */
export const PURPOSE_CHARS_MAX = 500;
/** Longest description of a written tool: what it does and when to use it, in each of its prompts. */
export const TOOL_DESCRIPTION_CHARS_MAX = 1_000;
/** Tools, and documents, that one agent has by its definition: more would fill its prompt by themselves. */
export const GRANTED_MAX = 50;
/** Characters of what stood in the way, said back to a model: the first line of it. */
export const FIRST_LINE_CHARS_MAX = 300;

/** Messages and characters of a task's journal that its after-task agents and its supervisor are shown. */
export const TAIL_MESSAGES_MAX = 20;
export const TAIL_CHARS_MAX = 8_000;
/** Longest instruction of a task that follows from another: that one's, its result and its journal's end. */
export const CHILD_INSTRUCTION_BYTES_MAX = INSTRUCTION_BYTES_MAX + RESULT_BYTES_MAX +
  4 * TAIL_CHARS_MAX;

// Mailboxes, steps and retries.

/** Envelopes that may wait for one actor; a sender beyond it is refused and retries later. */
export const MAILBOX_MAX = 1_000;
/**
 * Largest message. A child's result and reason, which double as JSON inside JSON, take four results of it;
 * a tool's result with its log takes six; a model's reply, which may name many files, has the rest.
 */
export const MESSAGE_BYTES_MAX = 9 * RESULT_BYTES_MAX;
/** First size of a socket's read buffer: holds what a busy turn brings; grows to one largest frame. */
export const READ_BYTES = 64 * 1024;
/** Effects that one step may ask for: as many as a turn has calls, and some of the runtime's own. */
export const EFFECTS_PER_STEP_MAX = 64;
/** Largest state of an actor, written at every step: what it was told, how it ends, and its open calls. */
export const STATE_BYTES_MAX = CHILD_INSTRUCTION_BYTES_MAX + RESULT_BYTES_MAX +
  3 * 1024 * CALLS_PER_TURN_MAX;
/**
 * Largest frame on a cell's socket. Down: a message and a state. Up: a state, which is a text there and
 * doubles, the arguments of a largest reply's calls, and an ending's three texts.
 */
export const FRAME_BYTES_MAX = 2 * STATE_BYTES_MAX + MESSAGE_BYTES_MAX + 3 * RESULT_BYTES_MAX +
  16 * 1024;
/** Times an envelope is handed to a worker before it is buried: a fault that passes, passes in three. */
export const ATTEMPTS_MAX = 3;
/** First pause before an envelope is tried again; doubles each time. */
export const RETRY_FIRST_MS = 200;
/** Longest pause before an envelope is tried again. */
export const RETRY_MAX_MS = 10_000;
/** Waiting that lifts a tree that has not begun by one step of priority: ten minutes lift 0 above 9. */
export const PRIORITY_STEP_MS = 60_000;
/** Trees whose last turn is remembered while nobody waits: each gains one turn by being forgotten. */
export const DRY_TREES_MAX = 1_000;
/** Times a performer's own fault (not its outcome) is tried again before the effect fails. */
export const PERFORM_ATTEMPTS_MAX = 3;

// Time.

/** How long a claim holds without renewal: far above any step, short enough to take over a dead node. */
export const LEASE_MS = 30_000;
/** How often held claims are renewed: three chances within a lease. */
export const LEASE_RENEW_MS = 10_000;
/** How often the kernel looks for due timers and for work that no event announced. */
export const POLL_MS = 250;
/** Furthest that an actor's timer may lie ahead: a year, leap days included. */
export const TIMER_MAX_MS = 366 * 24 * 60 * 60 * 1000;
/** Rows that one look takes: the next one follows within the same second. */
export const LOOK_ROWS_MAX = 500;
/** A worker that has not answered for so long is spinning: `receive` is pure and takes microseconds. */
export const HEARTBEAT_MS = 2_000;
/** How often a cell reports which of its workers answered: four chances within a heartbeat. */
export const BEAT_EVERY_MS = 500;
/** Between `terminate()` and the look at the cell's CPU time: a thread that obeyed is idle by then. */
export const TERMINATE_GRACE_MS = 250;
/** Share of one core that a cell may burn in the grace period before it counts as still spinning. */
export const SPIN_CPU_SHARE = 0.5;
/** CPU time after which a silent worker spins: to be created and to answer takes a tenth of it. */
export const RECEIVE_CPU_MAX_MS = 500;
/** The same of a cell's own thread: to create all its workers takes half of it. */
export const CELL_CPU_MAX_MS = 2_000;
/** Share of one core below which a cell wants nothing: an idle one uses a tenth of it. */
export const RESTING_SHARE = 0.05;
/**
 * Share of its time that a cell's thread waits for a core, above which it may well want one: it wakes up
 * twice a second, and waits a few ms each time beside a dozen programs.
 */
export const WAITING_SHARE = 0.1;
/** Connections to one cell's socket that have not said who they are: its own, and leftovers. */
export const CALLERS_MAX = 16;
/** A cell that has not connected by then is killed; a loaded two-core machine needs under two seconds. */
export const CELL_START_MS = 15_000;
/** A call of a workspace tool; local disks answer in milliseconds, a search of a large project in seconds. */
export const FILES_DEADLINE_MS = 20_000;
/** Looks for stuck tasks within the shortest timeout: detection is late by a quarter of it. */
export const STUCK_LOOKS = 4;
/** Between looks while a task stands on the ladder: each rung is seconds long. */
export const STUCK_LADDER_LOOK_MS = 500;
/** From detecting a stuck task to its end, all rungs together (the agreement with the user). */
export const STUCK_RESOLVED_MS = 60_000;
/** After the reminder, before the supervisor agent is asked. */
export const STUCK_GRACE_MS = 5_000;
/** Longest pause before a commit is tried again: once the store is back, its task moves within the grace. */
export const COMMIT_RETRY_MAX_MS = 2_000;
/** How long the supervisor agent has; nudge, grace and this stay below `STUCK_RESOLVED_MS`. */
export const SUPERVISION_MS = 40_000;
/** A stop waits so long for steps and effects in progress; the rest is taken up at the next start. */
export const STOP_GRACE_MS = 3_000;

// The launcher and its kernel.

/** The kernel says so often that its event loop turns: a line of six bytes costs nothing. */
export const KERNEL_BEAT_MS = 1_000;
/** The launcher looks so often; one look counts at most twice as much, however late it comes. */
export const KERNEL_LOOK_MS = 1_000;
/** A serving kernel that is silent for so long hangs: no turn of its loop takes a second. */
export const KERNEL_SILENT_MS = 20_000;
/** Before it is ready it may have to fetch its packages over a slow line, which comes before any beat. */
export const KERNEL_START_MS = 5 * 60_000;
/** More restarts than these within the period are no accident. */
export const KERNEL_RESTARTS_MAX = 10;
/** A minute: a kernel that lives longer has done some work, and its death is one of its own. */
export const KERNEL_RESTARTS_PERIOD_MS = 60_000;
/** Between a death and the next start, growing with the restarts: 0.1 s, 0.2 s, … */
export const KERNEL_RESTART_PAUSE_MS = 100;
/** Open streams never end by themselves: so long is waited for requests, then they are cut. */
export const SHUTDOWN_MS = 200;
/** Warm workers at the most: each takes about 10 MB. */
export const SPARE_MAX = 4;
/** Bytes of a socket's folder: paths have 108 on Linux, 104 on macOS, and a cell's name follows. */
export const SOCKET_FOLDER_MAX = 90;
/** `deno task run`: after the result, what follows a task (evaluation, documentation) may take so long. */
export const AFTERMATH_MS = 20_000;
/** Connections to a kernel that is away that are tried in a row: with the pauses a restart fits in. */
export const FOLLOW_ATTEMPTS_MAX = 20;
/** Between two such attempts. */
export const FOLLOW_PAUSE_MS = 250;
/** How long the terminal program waits for a kernel that may be there: it vouches for itself in this time. */
export const KERNEL_ANSWER_MS = 2_000;

// Restarts within a period, beyond which a supervisor gives up and dies itself.

/** Of every supervisor: a trouble that passes has passed within a minute. */
export const RESTARTS_PERIOD_MS = 60_000;
/** Of the whole: who fails a fourth time in a minute will not be mended by starting it anew. */
export const KERNEL_PARTS_RESTARTS_MAX = 3;
/** Of gateway, files and tools together: what their network or disk does to them passes. */
export const PERFORMERS_RESTARTS_MAX = 10;
/** Of cells: agents may kill theirs; the envelopes that did it are buried after three attempts. */
export const CELLS_RESTARTS_MAX = 60;

// The model.

/** Tokens of one reply: a long file fits; a reply that is cut off there goes on in the next turn. */
export const MODEL_OUTPUT_TOKENS_MAX = 32_000;
/** Window of a model that nobody knows; one that is smaller says so, and then less is kept. */
export const CONTEXT_TOKENS_UNKNOWN = 200_000;
/** Bytes of a token in common text and JSON; an exact count comes with each reply. */
export const TOKEN_BYTES = 3;
/** Tokens of one picture at the most, whatever its size. */
export const IMAGE_TOKENS_MAX = 5_000;
/** What a provider adds to a prompt with tools, and around messages. */
export const TOOL_USE_TOKENS = 1_000;
/** Share of a window that a prompt may take with room for its reply, before older turns are summarised. */
export const WINDOW_SHARE = 0.9;
/** Longest summary of older turns: a twentieth of the smallest common window. */
export const SUMMARY_TOKENS_MAX = 8_000;
/** Tokens of one document, as text and as pictures of its pages: nobody tells how many it has. */
export const DOCUMENT_TOKENS_MAX = 100_000;
/** Characters of a result or an argument that the writer of a summary is shown, if that fits. */
export const COMPACTED_CHARS_MAX = 20_000;
/** With less of each nothing could be summarised: then the prompt is too long, and the provider says so. */
export const COMPACTED_CHARS_LEAST = 100;
/** Characters of what an agent began with that stay whole beside a summary. */
export const PLAN_CHARS_MAX = 8_000;
/** While a model answers, its task counts as moving; written down so often. */
export const MODEL_PROGRESS_MS = 5_000;
/** Largest picture or document that a tool may give, in bytes: the provider's own bound on one. */
export const MEDIA_BYTES_MAX = 3_500_000;
/** Bytes of pictures and documents in one prompt, as base64: the API takes 32 MB a request in all. */
export const PROMPT_MEDIA_BYTES_MAX = 20_000_000;
/** Bytes of one tree's recorded model calls: hundreds of long turns; what comes after is left out. */
export const CASSETTE_BYTES_MAX = 256 * 2 ** 20;
/** A budget that leaves less than this for a reply has no room for a call: it would be cut off. */
export const MODEL_OUTPUT_TOKENS_LEAST = 1_024;
/**
 * Attempts at one turn, whatever they failed of: at a provider that fails two minutes of outage pass with
 * the breaker's pauses.
 */
export const MODEL_ATTEMPTS_MAX = 10;
/** Between two looks at what a tree's other calls hold of its budget: short beside any of them. */
export const BUDGET_LOOK_MS = 100;
/** Blocks of one reply, far more than any has: a number beyond it is a fault of the stream. */
export const REPLY_BLOCKS_MAX = 1_000;
/** First pause after such a fault; doubles each time, and half of it is drawn. */
export const MODEL_RETRY_FIRST_MS = 500;
/** Longest pause that Troupe chooses itself; a provider may ask for more within the deadline. */
export const MODEL_RETRY_MAX_MS = 30_000;
/** One turn with all that it waits for: a rate limit's minute a few times over, and a long reply. */
export const MODEL_DEADLINE_MS = 15 * 60_000;
/** Before the first byte: a local model reads a long prompt for minutes on a small machine. */
export const MODEL_FIRST_BYTE_MS = 5 * 60_000;
/** Without a byte for so long a stream counts as broken; the API sends pings far more often. */
export const MODEL_SILENCE_MS = 60_000;
/** How long a call waits for a gateway that is being started anew: loading the SDK takes a second. */
export const GATEWAY_BACK_MS = 10_000;
/** Calls of one model at once: more than agents can run on a large machine; each holds a socket. */
export const MODEL_CALLS_MAX = 512;
/** Calls that may wait for one model: as many as actors can wait for anything. */
export const MODEL_QUEUE_MAX = 10_000;
/** Failures in a row after which a model is left alone for a while. */
export const BREAKER_FAILURES = 5;
/** First such pause; doubles while the model stays away. */
export const BREAKER_FIRST_MS = 5_000;
/** Longest such pause: somebody who comes back is not kept waiting much longer than a minute. */
export const BREAKER_MAX_MS = 60_000;
/** What is streamed leaves a system worker so often at the most: ten calls or a thousand cost the same. */
export const PIECES_EVERY_MS = 10;

/** Uses of the web that one call may make, searching and fetching each: bounds what it can cost. */
export const WEB_USES_MAX = 5;
/** Tokens that the results of one search add to the prompt; the provider tells no bound of its own. */
export const WEB_SEARCH_TOKENS_MAX = 10_000;
/** Tokens of one fetched page that reach the model. */
export const WEB_FETCH_TOKENS_MAX = 10_000;

// Cells.

/** Cells at once: more than a thousand agents at work, far beyond what two cores can use. */
export const CELLS_MAX = 64;
/** Agent workers of one cell: a killed cell restarts so many actors at the most. */
export const WORKERS_PER_CELL_MAX = 16;
/** A cell makes new spare workers when no frame came for so long: making one takes a core. */
export const REFILL_QUIET_MS = 250;
/** Under constant load a spare is made after so long all the same, or every start would be cold. */
export const REFILL_WAIT_MAX_MS = 1_000;
/** Messages that a spare worker has behind it before it is used: by then its code is compiled. */
export const WARM_UP_PINGS = 20;
/** Bytes of a cell's stdout and stderr that are kept for the log. */
export const CELL_LOG_BYTES_MAX = 64 * 1024;
/** Bytes of them that are read at a time; then who prints without end has to wait. */
export const CELL_LOG_DRAINED_MAX = 8 * 1024 * 1024;
/** For a cell's last words and its exit code, which are there within a few ms; also the wait above. */
export const CELL_END_GRACE_MS = 250;
/** Characters of an actor's error that its cell passes on: a sentence and a stack trace fit. */
export const FAILURE_CHARS_MAX = 2_000;
/** Characters of an error of a written tool: a sentence and a stack trace fit. */
export const TOOL_ERROR_CHARS_MAX = 10_000;
/** Frames that are read of one cell in one period: five times what a busy one sends. */
export const CREDIT_FRAMES = 500;
/** The period: a cell that floods costs the kernel a few milliseconds in each. */
export const CREDIT_EVERY_MS = 50;
/** Resident memory of one cell at which it is killed: twenty busy agents need a quarter of it. */
export const CELL_MEMORY_MAX = 2 * 2 ** 30;
/** How often cells are looked at: four times in a heartbeat; a heap grows by some hundred MB a second. */
export const CELL_LOOK_MS = 500;
/** A look that comes so much late says nothing about cells: the kernel itself had no core. */
export const CELL_LOOK_LATE_MS = 1_000;
/** Looks in a row at a cell that burns CPU with nothing to do; making spare workers takes two to four. */
export const RESTLESS_LOOKS_MAX = 6;
/** Cells in which suspects are tried alone: one core of a small machine is left for the others. */
export const SUSPECT_CELLS_MAX = 4;

// Processes that run what agents wrote.

/** What the system lets one process use, with all that it starts. */
export interface ProcessLimits {
  /** Private memory, reservations included: a bare Deno reserves about 600 MB of it. */
  readonly memory_bytes: number;
  readonly cpu_seconds: number;
  readonly files: number;
  readonly file_bytes: number;
  /** Processes and threads; kept only where the process has a user namespace of its own. */
  readonly processes: number;
}

/** A cell of agents: half a gigabyte is reserved for each worker, used or not; the watch weighs it. */
export const CELL_LIMITS: ProcessLimits = {
  memory_bytes: 32 * 2 ** 30,
  cpu_seconds: 365 * 24 * 60 * 60,
  files: 1024,
  file_bytes: 64 * 2 ** 20,
  processes: 1024,
};
/** One call of a tool: some 400 MB of data beside Deno itself. */
export const TOOL_LIMITS: ProcessLimits = {
  memory_bytes: 2 ** 30,
  cpu_seconds: 60,
  files: 256,
  file_bytes: 64 * 2 ** 20,
  processes: 64,
};
/** The type checker, which reads much and writes nothing. */
export const CHECK_LIMITS: ProcessLimits = {
  memory_bytes: 4 * 2 ** 30,
  cpu_seconds: 60,
  files: 256,
  file_bytes: 64 * 2 ** 20,
  processes: 128,
};
/** A workspace process, which lives as long as its tree is at work: a search of the largest file fits. */
export const WORKSPACE_LIMITS: ProcessLimits = {
  memory_bytes: 2 ** 30,
  cpu_seconds: 24 * 60 * 60,
  files: 256,
  file_bytes: 64 * 2 ** 20,
  processes: 64,
};
/** The removal of a folder: a program of the system's, whose memory grows with the folder's depth. */
export const REMOVAL_LIMITS: ProcessLimits = {
  memory_bytes: 2 ** 30,
  cpu_seconds: 300,
  files: 256,
  file_bytes: 0,
  processes: 16,
};
/** A command in the terminal: compilers and test runners fit. */
export const TERMINAL_LIMITS: ProcessLimits = {
  memory_bytes: 4 * 2 ** 30,
  cpu_seconds: 600,
  files: 1024,
  file_bytes: 256 * 2 ** 20,
  processes: 256,
};
/** Room in the throw-away /tmp of a process with namespaces: what a compiler leaves there. */
export const NAMESPACE_TMP_BYTES = 256 * 2 ** 20;
/** Longest call of a written tool: what takes longer belongs into a task of its own. */
export const TOOL_DEADLINE_MS = 30_000;
/**
 * For what a tool had printed when it reported: it is there within a few ms, or as soon as the kernel gets a
 * core. Only a tool that hides where it ends is waited for so long.
 */
export const TOOL_LOG_MS = 2_000;
/** Longest check of a written tool, its types and imports. */
export const CHECK_DEADLINE_MS = 30_000;
/** Tool cells at once; each is a process with a quarter of a gigabyte at work. */
export const TOOL_CELLS_MAX = 16;
/** Calls that may wait for a tool cell. */
export const TOOL_QUEUE_MAX = 1_000;
/** Largest source of a written tool: as long as a document. */
export const TOOL_SOURCE_BYTES_MAX = 64 * 1024;
/** Tests of one written tool; each runs in a process of its own. */
export const TOOL_TESTS_MAX = 20;
/** Longest name of such a test: a sentence. */
export const TOOL_TEST_NAME_CHARS_MAX = 200;
/** Hosts, and paths to read and to write, that one manifest asks for: a person reads them all. */
export const MANIFEST_ENTRIES_MAX = 20;
/** Longest host in a manifest: DNS knows no longer name, a port included or not. */
export const HOST_CHARS_MAX = 255;
/** Terminal: deadline when the call names none, and the longest that it may name. */
export const TERMINAL_SECONDS = 60;
export const TERMINAL_SECONDS_MAX = 600;
/** Brackets in one another that the offline model computes: no expression of a person has as many. */
export const BRACKETS_MAX = 100;
/** Bytes of a command's output that are kept: what a model can read, with head and tail. */
export const OUTPUT_BYTES_MAX = 1024 * 1024;
/** Characters of a running command's output that a page shows. */
export const OUTPUT_TAIL_CHARS = 16 * 1024;
/** Workspace processes at once, at some 60 MB each; the one that rests for the longest makes room. */
export const WORKSPACE_PROCESSES_MAX = 8;
/** How long one stays warm after its last request: as long as a model takes between two turns. */
export const WORKSPACE_WARM_MS = 60_000;
/** Largest frame of a workspace process: a largest file, whose characters take six bytes each at worst. */
export const WORKSPACE_FRAME_BYTES_MAX = 2 * MEDIA_BYTES_MAX;
/** Bytes of a workspace at which whoever writes into it is stopped. */
export const WORKSPACE_BYTES_MAX = 2 * 2 ** 30;
/** Files, folders and links of a workspace at which the same happens: a large project with its packages. */
export const WORKSPACE_FILES_MAX = 200_000;
/** How often it is weighed meanwhile. */
export const WORKSPACE_LOOK_MS = 1_000;
/** What cannot be counted in this time has too many files. */
export const WEIGHING_MS = 10_000;
/** Free room on the disk below which nobody writes into a workspace: the database needs it more. */
export const DISK_FREE_BYTES_LEAST = 256 * 2 ** 20;
/** For one removal; what is left then is removed after the next start. */
export const REMOVAL_MS = 300_000;

// The store.

/** Units of work that may wait for the store before new ones are refused. */
export const STORE_QUEUE_MAX = 20_000;
/** Units of one group: keeps the longest wait behind a group in the low milliseconds. */
export const STORE_GROUP_MAX = 512;
/** Groups that the store worker holds: one that it writes and one that waits, so that it never idles. */
export const STORE_GROUPS_AT_ONCE = 2;
/** Memory for pages of the database: holds every index page that a busy store comes back to. */
export const STORE_CACHE_KIB = 64 * 1024;
/** Statements that a connection keeps compiled: the program has some three hundred, and lists of all lengths. */
export const STORE_STATEMENTS_MAX = 1_000;
/** Pages of the log after which it is written back: hot pages are written once for many commits. */
export const STORE_CHECKPOINT_PAGES = 8_000;
/** Groups after which the data folder is told how far the database has come: few files to write. */
export const STORE_STAMP_GROUPS = 256;
/** Nothing committed for so long is idle: then the log is written back, in the pauses even of a probe. */
export const STORE_IDLE_MS = 500;
/** How long a finished effect and an ended tree's reviews stay for a person who looks into a fault. */
export const KEPT_MS = 24 * 60 * 60 * 1000;
/** How often old rows are cleared away: a day of effects is a few rounds an hour. */
export const HOUSEKEEPING_EVERY_MS = 60_000;
/** Rows of each table that one round removes: some milliseconds of the store. */
export const HOUSEKEEPING_ROWS_MAX = 500;
/** How long the store waits for another process's lock on the database file. */
export const STORE_BUSY_MS = 5_000;
/** `/ready` vouches for a write of the last second: however many ask, one a second is made. */
export const LIVENESS_MS = 1_000;
/** A write that takes longer than this is none: whoever asks has a deadline of a few seconds. */
export const LIVENESS_LATE_MS = 2_000;

// Pages and streams.

/** Rows of one page of a list. */
export const PAGE_ROWS_MAX = 200;
/** Journal entries that a tree page shows per task; the API pages through all of them. */
export const PAGE_ENTRIES_MAX = 200;
/** Rows of a page of a list when nobody says how many: a screen or two. */
export const PAGE_ROWS = 50;
/** Characters of one text inside a journal's page: a page of print; the API has the whole of it. */
export const TEXT_CHARS_MAX = 4_000;
/** Characters of a task's own line on the home page: what fits beside its status and age. */
export const TREE_LINE_CHARS_MAX = 140;
/** Characters of an instruction that are read for that line: more than it shows once white space is folded. */
export const LISTED_CHARS_MAX = 300;
/** Characters of a task's line on a tree page, where it stands further in and has more beside it. */
export const TASK_LINE_CHARS_MAX = 110;
/** Characters of a reason inside a journal's page: a sentence, or a short stack trace. */
export const REASON_CHARS_MAX = 1_000;
/** Characters of an instruction in a page's title: a browser's tab shows no more. */
export const TITLE_CHARS_MAX = 60;
/** Characters of an `Idempotency-Key`: a UUID many times over, and still one line of a log. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 255;
/** Streams open at once, of pages and of the API: each holds a socket and a little memory. */
export const STREAMS_MAX = 1_000;
/** A person has so many pages open before anybody counts descriptors. */
export const STREAMS_LEAST = 16;
/** Who got no place asks again after so long: pages come and go in seconds. */
export const STREAM_RETRY_SECONDS = 5;
/** Descriptors of one process when nobody knows how many it may have: the usual least. */
export const DESCRIPTORS_UNKNOWN = 1_024;
/** Descriptors of one cell, tool cell or workspace process: its socket, its two outputs, its end. */
export const DESCRIPTORS_PER_CELL = 4;
/** Descriptors for all else: database, libraries, files, programs that start, requests that pass. */
export const DESCRIPTORS_KEPT = 128;
/** Before it is listened again, when no connection could be accepted: a refused one is gone by then. */
export const LISTEN_PAUSE_MS = 250;
/** So often in a row: a minute; a port that somebody else took meanwhile does not come back. */
export const LISTEN_ATTEMPTS_MAX = 240;
/** One line on the console in so long: a crowd of viewers comes back every second. */
export const LISTEN_COMPLAINT_MS = 60_000;
/** Who asks a kernel that starts comes back after so long: it is ready within a second or two. */
export const START_RETRY_SECONDS = 1;
/** A reader of the API's stream comes back so soon after a break: a restart of the kernel takes as long. */
export const STREAM_BACK_MS = 1_000;
/** A comment is sent on a quiet stream so often, so that proxies keep it open. */
export const STREAM_PING_MS = 15_000;
/** The system page looks again so often by itself: a lane's state changes without a commit. */
export const SYSTEM_LOOK_MS = 2_000;
/** Shortest time between two updates of one page: what a person can follow, and no flood. */
export const STREAM_EVERY_MS = 50;
/** Bytes that may wait for one reader; with more it counts as behind and later gets the whole. */
export const STREAM_BEHIND_BYTES = 256 * 1024;
/** How long a POST is remembered under its `Idempotency-Key`. */
export const IDEMPOTENCY_MS = 24 * 60 * 60 * 1000;
