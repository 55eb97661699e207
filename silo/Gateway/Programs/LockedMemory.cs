using IommuFd.GrainInterfaces;

namespace IommuFd.Silo.Gateway.Programs;

// RLIMIT_MEMLOCK belongs to a machine: a user's locked memory is that of all his processes there, and of all contexts that have pinned it. The gateway is what
// knows them. Contexts ask it before they pin, and tell it what they have pinned (ProgramMemory); it keeps one number for each context, program and account.
//
// Of a context that is lost with its silo nobody tells that its pages are free. So where a limit would be passed, the numbers of ended programs in contexts that no
// descriptor here leads to are dropped first.

/// <summary>What programs have locked, and what they may. Thread-safe.</summary>
/// <param name="setting">What <see cref="GatewaySettings.LockedMemory"/> says.</param>
/// <param name="isOpen">Whether a program here has a context open.</param>
internal sealed class LockedMemory(string? setting, Func<ContextTag, bool> isOpen)
{
    /// <summary>The setting by which each program has its own limit.</summary>
    public const string OfCaller = "caller";

    private const int PageShift = 12;

    private readonly Lock _lock = new();
    private readonly Dictionary<(ContextTag Context, long Memory, PinAccount Account), Charged> _pages = [];

    /// <summary>The limit that all programs have; null where each has its own.</summary>
    private readonly ulong? _limit = ByteSize.TryParse(setting ?? "", out var bytes) ? bytes : null;

    /// <summary>Whether a setting says what it may say.</summary>
    public static bool IsSetting(string? setting) => string.IsNullOrEmpty(setting) || setting == OfCaller || ByteSize.TryParse(setting, out _);

    /// <summary>Whether there are limits.</summary>
    public bool IsOn => !string.IsNullOrEmpty(setting);

    /// <summary>What a process may not do. One that can't be looked at may do least.</summary>
    public CallerLimits LimitsOf(int process)
    {
        if (!IsOn)
        {
            return CallerLimits.None;
        }

        var status = ProcessStatus.Of(process);
        return (_limit is null && status?.CanLockMemory == true ? CallerLimits.None : CallerLimits.LockedMemory)
            | (status?.CanRaiseLimits == true ? CallerLimits.None : CallerLimits.RlimitMode);
    }

    /// <summary>Charges pages, if that is within the limit or they are pinned already.</summary>
    /// <param name="charge">The pages.</param>
    /// <param name="program">The program whose memory it is; null for one that is not known any more.</param>
    public MemoryVerdict Charge(MemoryCharge charge, GatewayProgram? program)
    {
        lock (_lock)
        {
            var key = (charge.Context, charge.Memory, charge.Account);
            var known = _pages.GetValueOrDefault(key);
            if (charge.Pages <= 0 || (program is null && known is null))
            {
                _pages.Remove(key);
                return new MemoryVerdict(IsGranted: true);
            }

            var charged = new Charged(program ?? known!.Program, program?.User ?? known!.User, charge.Pages);
            if (!charge.IsFact && charge.Pages > (known?.Pages ?? 0) && LimitOf(charged.Program) >> PageShift is var limit
                && (ulong)Locked(key, charged) > limit && Drop() >= 0 && (ulong)Locked(key, charged) is var locked && locked > limit)
            {
                return new MemoryVerdict(IsGranted: false, (long)locked, (long)limit);
            }

            _pages[key] = charged;
            return new MemoryVerdict(IsGranted: true);
        }
    }

    // All that counts against the same limit.
    private long Locked((ContextTag Context, long Memory, PinAccount Account) key, Charged charged)
        => charged.Pages + _pages.Where(other => other.Key != key && other.Key.Account == key.Account
            && (key.Account == PinAccount.User ? other.Value.User == charged.User : other.Key.Memory == key.Memory)).Sum(other => other.Value.Pages);

    private ulong LimitOf(GatewayProgram program) => _limit ?? program.LockLimit;

    private int Drop()
    {
        var dropped = _pages.Where(charged => charged.Value.Program.IsGone && !isOpen(charged.Key.Context)).Select(charged => charged.Key).ToList();
        dropped.ForEach(key => _pages.Remove(key));
        return dropped.Count;
    }

    private sealed record Charged(GatewayProgram Program, int User, long Pages);
}
