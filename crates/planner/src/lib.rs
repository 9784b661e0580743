//! Pure planner: plans, rollback plans, planning report, lint, diff.
