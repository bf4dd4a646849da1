// The filters first: they take what the address says before anything is asked for.
import "../activity/filters.js";
import "../activity/history.js";
import "../recording.js";
import "../activity/jobs.js";
import "../activity/new_job.js";
import "../activity/tabs.js";
