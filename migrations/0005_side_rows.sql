-- Rows beside the log that live or die with their unit's events.
create function write_side_rows(side jsonb, refused int[]) returns void
language plpgsql
set search_path = public
as $$
declare
    kinds text[] := (select array_agg(distinct r ->> 'kind') from jsonb_array_elements(side) r);
begin
    if 'person_key' = any (kinds) then
        insert into person_keys (user_id, wrapped_key, key_id)
        select r.user_id, decode(r.wrapped_key, 'hex'), r.key_id
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, wrapped_key text, key_id text)
        where r.kind = 'person_key' and r.unit <> all (refused);
    end if;

    if 'person_erased' = any (kinds) then
        perform erase_person(r.user_id)
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid)
        where r.kind = 'person_erased' and r.unit <> all (refused);
    end if;

    -- What is given up comes before what is claimed, so that one unit can do both.
    if 'claims_released' = any (kinds) then
        delete from claims c
        using jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, what text)
        where r.kind = 'claims_released' and r.unit <> all (refused)
          and c.user_id = r.user_id and c.kind = r.what;
    end if;

    if 'claim' = any (kinds) then
        insert into claims (claim_hash, key_id, kind, user_id, identity_id)
        select decode(r.claim_hash, 'hex'), r.key_id, r.what, r.user_id, r.identity_id
        from jsonb_to_recordset(side)
            as r (unit int, kind text, claim_hash text, key_id text, what text, user_id uuid,
                identity_id uuid)
        where r.kind = 'claim' and r.unit <> all (refused)
          and (select true from claims c
               where c.claim_hash = decode(r.claim_hash, 'hex') and c.user_id = r.user_id limit 1) is null;
    end if;

    if 'password' = any (kinds) then
        insert into passwords (user_id, hash)
        select r.user_id, r.hash
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, hash text)
        where r.kind = 'password' and r.unit <> all (refused)
        on conflict (user_id) do update set hash = excluded.hash;
        -- Other links to a password, and sign-ins that were under way.
        update challenges c set used_at = clock_timestamp()
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid)
        where r.kind = 'password' and r.unit <> all (refused)
          and c.user_id = r.user_id and c.used_at is null;
    end if;

    if 'shut_out' = any (kinds) then
        perform shut_out(r.user_id)
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid)
        where r.kind = 'shut_out' and r.unit <> all (refused);
    end if;

    if 'session' = any (kinds) then
        insert into sessions (session_id, user_id, started_at, last_used_at, expires_at, ends_at, sealed)
        select r.session_id, r.user_id, r.started_at, r.started_at, r.expires_at, r.ends_at, r.sealed
        from jsonb_to_recordset(side)
            as r (unit int, kind text, session_id uuid, user_id uuid, started_at timestamptz,
                expires_at timestamptz, ends_at timestamptz, sealed text)
        where r.kind = 'session' and r.unit <> all (refused);
    end if;

    if 'session_ended' = any (kinds) then
        update sessions s set ended_at = clock_timestamp()
        from jsonb_to_recordset(side) as r (unit int, kind text, session_id uuid)
        where r.kind = 'session_ended' and r.unit <> all (refused)
          and s.session_id = r.session_id and s.ended_at is null;
    end if;

    if 'sessions_ended' = any (kinds) then
        update sessions s set ended_at = clock_timestamp()
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, keep uuid)
        where r.kind = 'sessions_ended' and r.unit <> all (refused)
          and s.user_id = r.user_id and s.session_id is distinct from r.keep and s.ended_at is null;
    end if;

    if 'identity' = any (kinds) then
        insert into identities (identity_id, user_id, provider, sealed, tokens, linked_at)
        select r.identity_id, r.user_id, r.provider, r.sealed, r.tokens, r.linked_at
        from jsonb_to_recordset(side)
            as r (unit int, kind text, identity_id uuid, user_id uuid, provider text, sealed text,
                tokens text, linked_at timestamptz)
        where r.kind = 'identity' and r.unit <> all (refused);
    end if;

    if 'identity_removed' = any (kinds) then
        with removed as (
            delete from identities i
            using jsonb_to_recordset(side) as r (unit int, kind text, identity_id uuid, user_id uuid)
            where r.kind = 'identity_removed' and r.unit <> all (refused)
              and i.identity_id = r.identity_id and i.user_id = r.user_id
            returning i.identity_id, i.user_id)
        delete from claims c
        using removed r where c.user_id = r.user_id and c.identity_id = r.identity_id;
    end if;

    if 'api_key' = any (kinds) then
        insert into api_keys (key_id, user_id, key_hash, prefix, scopes, per_second, sealed, created_at)
        select r.key_id, r.user_id, decode(r.key_hash, 'hex'), r.prefix,
            array(select jsonb_array_elements_text(r.scopes)), r.per_second, r.sealed, r.created_at
        from jsonb_to_recordset(side)
            as r (unit int, kind text, key_id uuid, user_id uuid, key_hash text, prefix text,
                scopes jsonb, per_second int, sealed text, created_at timestamptz)
        where r.kind = 'api_key' and r.unit <> all (refused);
    end if;

    if 'api_key_revoked' = any (kinds) then
        update api_keys k set revoked_at = clock_timestamp()
        from jsonb_to_recordset(side) as r (unit int, kind text, key_id uuid)
        where r.kind = 'api_key_revoked' and r.unit <> all (refused)
          and k.key_id = r.key_id and k.revoked_at is null;
    end if;

    if 'api_keys_rest' = any (kinds) then
        update api_keys k set rests = r.rest
        from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, rest boolean)
        where r.kind = 'api_keys_rest' and r.unit <> all (refused) and k.user_id = r.user_id;
    end if;

    if 'job' = any (kinds) then
        perform graphile_worker.add_job(
            identifier => r.task, payload => r.payload, job_key => r.job_key,
            max_attempts => r.most, queue_name => r.queue)
        from jsonb_to_recordset(side)
            as r (unit int, kind text, task text, payload json, job_key text, most int, queue text)
        where r.kind = 'job' and r.unit <> all (refused);
    end if;

    if 'analysis' = any (kinds) then
        insert into analyses (analysis_id, user_id, feature, credits, sealed, created_at)
        select r.analysis_id, r.user_id, r.feature, r.credits, r.sealed, r.created_at
        from jsonb_to_recordset(side)
            as r (unit int, kind text, analysis_id uuid, user_id uuid, feature text, credits bigint,
                sealed text, created_at timestamptz)
        where r.kind = 'analysis' and r.unit <> all (refused);
    end if;

    if exists (select from unnest(kinds) as k (kind) where k.kind like 'chat_%') then
        perform write_chat_rows(side, refused);
    end if;

    if kinds && array['queued_call', 'made_call', 'failed_call'] then
        perform write_call_rows(side, refused);
    end if;
end $$;

-- Those of chats. What is of a chat that nobody keeps any more is not written: a reply that was under
-- way when its chat was deleted, or its owner erased, brings nothing back.
create function write_chat_rows(side jsonb, refused int[]) returns void
language plpgsql
set search_path = public
as $$
begin
    insert into chat_streams (chat_id, user_id)
    select r.chat_id, r.user_id
    from jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid, user_id uuid)
    where r.kind = 'chat_opened' and r.unit <> all (refused)
      and exists (select from person_keys k where k.user_id = r.user_id and k.destroyed_at is null);

    insert into chat_texts as t (text_id, chat_id, user_id, sealed)
    select r.text_id, r.chat_id, r.user_id, r.sealed
    from jsonb_to_recordset(side)
        as r (unit int, kind text, text_id uuid, chat_id uuid, user_id uuid, sealed text)
    join chat_streams s on s.chat_id = r.chat_id and s.user_id = r.user_id
    where r.kind = 'chat_text' and r.unit <> all (refused)
    on conflict (text_id) do update set sealed = excluded.sealed where t.chat_id = excluded.chat_id;

    perform append_chat_stream(r.chat_id, r.what, r.message_id, r.sealed)
    from jsonb_array_elements(side) with ordinality as e (line, n),
        jsonb_to_record(e.line)
            as r (unit int, kind text, chat_id uuid, what text, message_id uuid, sealed text)
    where r.kind = 'chat_stream' and r.unit <> all (refused)
    order by e.n;

    -- Texts and stream go with it.
    perform pg_notify('chat', r.chat_id::text)
    from jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid)
    where r.kind = 'chat_forgotten' and r.unit <> all (refused);
    delete from chat_streams s
    using jsonb_to_recordset(side) as r (unit int, kind text, chat_id uuid)
    where r.kind = 'chat_forgotten' and r.unit <> all (refused) and s.chat_id = r.chat_id;

    update chat_days d set used = greatest(d.used - b.units, 0)
    from (select r.user_id, r.day, count(*)::int as units
          from jsonb_to_recordset(side) as r (unit int, kind text, user_id uuid, day date)
          where r.kind = 'chat_allowance_back' and r.unit <> all (refused)
          group by r.user_id, r.day) b
    where d.user_id = b.user_id and d.day = b.day;
end $$;

-- Counts a use of the day's allowance for each unit that brings one, in their order, and gives back
-- the units for which nothing was left. A unit brings one at most.
create function use_chat_allowances(side jsonb, refused int[]) returns int[]
language plpgsql
set search_path = public
as $$
declare
    spent int[] := '{}';
    r     record;
begin
    for r in
        select a.unit, a.user_id, a.day, a.most
        from jsonb_to_recordset(side) as a (unit int, kind text, user_id uuid, day date, most int)
        where a.kind = 'chat_allowance' and a.unit <> all (refused)
        order by a.unit
    loop
        insert into chat_days as d (user_id, day, used)
        select r.user_id, r.day, 1 where r.most > 0
        on conflict (user_id, day) do update set used = d.used + 1 where d.used < r.most;
        if not found then
            spent := spent || r.unit;
        end if;
    end loop;
    return spent;
end $$;

-- All ways into an account are shut but for its address, and everybody inside is out.
create function shut_out(person uuid) returns void
language plpgsql
set search_path = public
as $$
begin
    delete from passwords where user_id = person;
    delete from identities where user_id = person;
    delete from claims where user_id = person and kind in ('identity', 'phone');
    update sessions set ended_at = clock_timestamp() where user_id = person and ended_at is null;
    update api_keys set revoked_at = clock_timestamp() where user_id = person and revoked_at is null;
    -- A link or code that was asked for before.
    update challenges set used_at = clock_timestamp() where user_id = person and used_at is null;
end $$;

-- What of a person is outside the log goes; what is in it cannot be read without the key.
create function erase_person(person uuid) returns void
language plpgsql
set search_path = public
as $$
begin
    perform shut_out(person);
    update person_keys set wrapped_key = null, destroyed_at = clock_timestamp()
    where user_id = person and destroyed_at is null;
    -- Codes that were sent before anybody knew whose they are, too.
    delete from challenges
    where user_id = person
       or sent_to && array(select claim_hash from claims where user_id = person);
    delete from claims where user_id = person;
    delete from analyses where user_id = person;
    delete from chat_streams where user_id = person;
    delete from chat_days where user_id = person;
    delete from queued_calls where user_id = person;
    delete from snapshots where aggregate_type = 'user' and aggregate_id = person::text;
    update sessions set sealed = null where user_id = person;
    update api_keys set sealed = '' where user_id = person;
end $$;
