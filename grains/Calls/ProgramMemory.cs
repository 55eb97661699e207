using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Model;
using Microsoft.Extensions.Logging;

namespace IommuFd.Grains.Calls;

// Whether memory is there is not part of the context's state, and can change at any moment. So what a program has answered becomes part of the
// turn's record, and a replay takes it from there and asks no program.
//
// A program that does not answer in time, or is gone, leaves its memory as it was when it was mapped, and without a limit.
//
// Limits of locked memory are kept where the program is: by its gateway, which knows its user, its process and all other contexts. The context asks before it
// pins more, and at the end of a turn tells what is pinned where that is less than it asked for. It always says all that it has pinned and never a
// difference: an activation that has just recovered the context says the same again.

/// <summary>Asks the programs whose memory a context maps whether it is there. One turn at a time.</summary>
/// <param name="grainFactory">Reaches the programs; null where nobody is to be asked.</param>
/// <param name="patience">How long one answer may take.</param>
/// <param name="logger">The context's logger.</param>
/// <param name="context">The context, for the log.</param>
internal sealed class ProgramMemory(IGrainFactory? grainFactory, TimeSpan patience, ILogger? logger, ContextTag context)
{
    /// <summary>Asks nobody: memory is as it was when it was mapped.</summary>
    public static readonly ProgramMemory Unasked = new(null, default, null, default);

    // What the gateways were last told of each owner.
    private readonly Dictionary<PinOwner, long> _told = [];
    private List<PinFacts>? _noted;
    private Queue<PinFacts>? _replayed;
    private bool _isReplay;

    /// <summary>Begins a turn.</summary>
    public void Begin() => _noted = null;

    /// <summary>What the turn was told, for its record; null where all that it has asked for was there.</summary>
    public PinFacts[]? Take() => _noted?.Exists(facts => facts.Fault is not null || facts.Charge == PinCharge.Refused) == true ? [.. _noted] : null;

    /// <summary>The same as a turn was told whose record has this: <see cref="Take"/>.</summary>
    public static ProgramMemory Replay(PinFacts[]? taken) => new(null, default, null, default) { _isReplay = true, _replayed = taken is null ? null : new(taken) };

    /// <summary>In a replay, what the turn was told; false where the programs must be asked.</summary>
    /// <param name="questions">How many slices are asked about.</param>
    /// <param name="facts">What it was told.</param>
    public bool TryReplay(int questions, out PinFacts facts)
    {
        facts = new PinFacts(questions);
        return _isReplay && (_replayed is null || _replayed.TryDequeue(out facts));
    }

    /// <summary>Notes what the turn was told.</summary>
    public void Note(PinFacts facts)
    {
        if (grainFactory is not null)
        {
            (_noted ??= []).Add(facts);
        }
    }

    /// <summary>Asks whether pages may be pinned, and charges them.</summary>
    /// <param name="pins">What the context has pinned.</param>
    /// <param name="price">What it is to pin besides.</param>
    /// <returns>Why it may not; null where it may.</returns>
    public ValueTask<IoctlDiagnostic?> ChargeAsync(PinLedger pins, PinTally price) => ChargeAsync(pins, pins.PriceOf(price));

    /// <summary>Asks whether owners may have more pinned, and charges them.</summary>
    /// <param name="pins">What the context has pinned.</param>
    /// <param name="price">How many pages more, by owner.</param>
    /// <returns>Why they may not; null where they may.</returns>
    public async ValueTask<IoctlDiagnostic?> ChargeAsync(PinLedger pins, IEnumerable<PinCount> price)
    {
        if (TryReplay(0, out var replayed))
        {
            return replayed.Charge == PinCharge.Refused ? Failure.Because(DiagnosticReason.TooMuchLockedMemory) : null;
        }

        foreach (var (owner, more) in price.ToList())
        {
            if (await TellAsync(owner, pins.PagesOf(owner) + more, isFact: false) is { IsGranted: false } refusal)
            {
                Note(new PinFacts(0, Charge: PinCharge.Refused));
                pins.HasNews = true;
                return Failure.Because(DiagnosticReason.TooMuchLockedMemory, (ulong)refusal.Locked, (ulong)refusal.Limit);
            }
        }

        Note(new PinFacts(0, Charge: PinCharge.Granted));
        return null;
    }

    /// <summary>Ends a turn in which pages were pinned or unpinned that have a limit, or might have been: the gateways learn what is pinned.</summary>
    /// <param name="pins">What the context has pinned.</param>
    public async ValueTask SettleAsync(PinLedger pins)
    {
        pins.HasNews = false;
        var owners = pins.Owners.Select(count => count.Owner).Where(owner => owner.Account != PinAccount.None);
        foreach (var owner in _told.Keys.Union(owners).Where(owner => _told.GetValueOrDefault(owner) != pins.PagesOf(owner)).ToList())
        {
            await TellAsync(owner, pins.PagesOf(owner), isFact: true);
        }
    }

    /// <summary>Asks a program about slices of its memory.</summary>
    /// <param name="source">The program.</param>
    /// <param name="questions">The slices, at least one.</param>
    /// <returns>How many leading slices are there; if not all, where the next one has a byte that isn't, in bytes from its start.</returns>
    public async ValueTask<(int Present, ulong Fault)> AskAsync(MemorySource source, ReadOnlyMemory<PinQuestion> questions)
    {
        var answer = await AnswerOfAsync(source, questions);
        if (answer is { IsKnown: true } && (answer.Present == questions.Length
            || (answer.Present >= 0 && answer.Present < questions.Length && answer.FaultOffset < questions.Span[answer.Present].Length)))
        {
            return (answer.Present, answer.FaultOffset & ~(PageSizes.Page - 1));
        }

        var present = 0;
        while (present < questions.Length && questions.Span[present].WasPresent)
        {
            present++;
        }

        return (present, 0);
    }

    // Null where the program's gateway is gone, with all that it has charged.
    private async ValueTask<MemoryVerdict?> TellAsync(PinOwner owner, long pages, bool isFact)
    {
        if (owner.Source is not { } source || FindObserver(source) is not { } observer)
        {
            return null;
        }

        try
        {
            var verdict = await observer.ChargeAsync(new MemoryCharge(source.Number, context, owner.Account, pages, isFact)).WaitAsync(patience);
            if (verdict.IsGranted)
            {
                _told[owner] = pages;
            }

            return verdict;
        }
        catch (Exception exception)
        {
            logger?.ProgramUnasked(exception, context);
            _told[owner] = pages;
            return null;
        }
    }

    // An address from outside: only a program's may be called.
    private IMemoryObserver? FindObserver(MemorySource source)
        => grainFactory is not null && source.Observer.IsClient() ? grainFactory.GetGrain<IMemoryObserver>(source.Observer) : null;

    private async ValueTask<MemoryAnswer?> AnswerOfAsync(MemorySource source, ReadOnlyMemory<PinQuestion> questions)
    {
        if (FindObserver(source) is not { } observer)
        {
            return null;
        }

        try
        {
            var pieces = new MemoryPiece[questions.Length];
            for (var i = 0; i < pieces.Length; i++)
            {
                pieces[i] = questions.Span[i].Piece;
            }

            return await observer.LookAsync(new MemoryQuestion(source.Number, pieces)).WaitAsync(patience);
        }
        catch (Exception exception)
        {
            logger?.ProgramUnasked(exception, context);
            return null;
        }
    }
}
