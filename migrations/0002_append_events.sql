-- The only writer of the log. Called in autocommit, one round trip for a whole batch of units; a
-- unit is one or several commands' events on one or several streams, with the side rows that must
-- live or die with them. One unit's refusal leaves its neighbours alone.
--
-- A writer that gives the hash of the head as it left it (known) learns whether anybody else has
-- written since (alone). Where nobody has, the streams that it is sure of need not be looked up: it
-- has seen every event there is.
--
-- Arrays are per stream (s_) and per event (e_), each row naming its unit by number; nothing is
-- subscripted, since that is linear in a text[]. Units that are in none of these lists are in the
-- log, in their order, up to last_position: duplicates (one of the unit's commands is in the log),
-- conflicts (a stream is not where the unit expects it), claimed (somebody else has the address, the
-- telephone or the identity, or the person has it by another id), spent (the person's allowance of the day is used up).
create function append_events(
    s_unit       int[],
    s_type       text[],
    s_id         text[],
    s_expected   bigint[],
    s_sure       boolean[],
    e_unit       int[],
    e_type       text[],
    e_id         text[],
    e_sequence   bigint[],
    e_event_type text[],
    e_version    text[],
    e_payload    text[],
    e_metadata   text[],
    e_command    uuid[],
    e_ordinal    smallint[],
    e_leaf       bytea[],
    side         jsonb,
    known        bytea,
    out last_position bigint,
    out at            timestamptz,
    out head          bytea,
    out alone         boolean,
    out duplicates    int[],
    out conflicts     int[],
    out claimed       int[],
    out spent         int[]
)
language plpgsql
set search_path = public
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_mergejoin = off
set enable_hashjoin = off
as $$
declare
    head_position bigint;
    previous      bytea;
    appended      bigint;
    refused       int[];
begin
    -- Alone in its statement, so that what follows sees a snapshot newer than the lock.
    select h.position, h.hash, h.recorded_at into head_position, head, at
    from log_head h where h.id = 1 for update;
    at := greatest(clock_timestamp(), at);
    alone := known is not distinct from head;

    -- Look-ups are scalar subqueries with a limit, which the planner cannot turn into a join: the
    -- plan is made once per connection, maybe when the log is empty, and a join that is right then
    -- reads the whole log later. Whether any command is known is one look; which, is asked seldom.
    if exists (select from events e where e.command_id = any (e_command) and e.ordinal = 0) then
        select array_agg(distinct c.unit) into duplicates
        from unnest(e_unit, e_command, e_ordinal) as c (unit, command_id, ordinal)
        where c.ordinal = 0
          and (select true from events e
               where e.command_id = c.command_id and e.ordinal = 0 limit 1);
    end if;

    if not alone or false = any (s_sure) then
        select array_agg(distinct s.unit) into conflicts
        from unnest(s_unit, s_type, s_id, s_expected, s_sure) as s (unit, type, id, expected, sure)
        where not (s.sure and alone) and s.expected <> coalesce((
            select e.sequence from events e
            where e.aggregate_type = s.type and e.aggregate_id = s.id
            order by e.sequence desc limit 1), 0);
    end if;

    if side is not null then
        select array_agg(distinct r.unit) into claimed
        from jsonb_to_recordset(side)
            as r (unit int, kind text, claim_hash text, user_id uuid, identity_id uuid)
        where r.kind = 'claim'
          and (select c.user_id <> r.user_id or c.identity_id is distinct from r.identity_id
               from claims c
               where c.claim_hash = decode(r.claim_hash, 'hex') limit 1);
    end if;

    refused := coalesce(duplicates, '{}') || coalesce(conflicts, '{}') || coalesce(claimed, '{}');

    -- Last, since it counts: what is refused for another reason uses nothing up.
    if side @> '[{"kind": "chat_allowance"}]' then
        spent := use_chat_allowances(side, refused);
        refused := refused || spent;
    end if;

    -- What unnest gives comes in the order of the arrays, here and below: sorting it again is a tenth
    -- of a small batch.
    insert into events (
        aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
        position, recorded_at, command_id, ordinal, leaf_hash)
    select e.type, e.id, e.sequence, e.event_type, e.version, e.payload::json, e.metadata::json,
        head_position + row_number() over (), at, e.command_id, e.ordinal, e.leaf
    from unnest(e_unit, e_type, e_id, e_sequence, e_event_type, e_version, e_payload, e_metadata,
            e_command, e_ordinal, e_leaf)
        as e (unit, type, id, sequence, event_type, version, payload, metadata, command_id,
            ordinal, leaf)
    where e.unit <> all (refused);
    get diagnostics appended = row_count;

    last_position := head_position + appended;
    if appended = 0 then
        return;
    end if;

    previous := head;
    select sha256(head || int8send(head_position + 1) || int8send(last_position)
            || int8send((extract(epoch from at) * 1000000)::bigint)
            || string_agg(e.leaf, ''::bytea))
    into head
    from unnest(e_unit, e_leaf) as e (unit, leaf)
    where e.unit <> all (refused);

    insert into batches (first_position, last_position, recorded_at, previous_hash, hash)
    values (head_position + 1, last_position, at, previous, head);

    update log_head
    set position = last_position, hash = head, recorded_at = at
    where id = 1;

    if side is not null then
        perform write_side_rows(side, refused);
    end if;
end $$;
