-- A bucket that empties at a steady pace lets as many through again while it does: nine within a minute of five. The times
-- of the last tries say how many there were within any window; a bucket has no more of them than may be tried.

set local lock_timeout = '2s';
alter table limits add column tried_at timestamptz[] not null default '{}';

comment on column limits.tried_at is 'what was tried within the window, the oldest first';
comment on column limits.empty_at is 'when the last of it leaves the window: the row counts nothing then, and is removed';
