using System.Globalization;

namespace IommuFd.Silo.Gateway.Programs;

/// <summary>What a process's user is, and what it may lock.</summary>
/// <param name="User">Its real user's number.</param>
/// <param name="Capabilities">Its effective capabilities, a bit each.</param>
internal readonly record struct ProcessStatus(int User, ulong Capabilities)
{
    private const int IpcLock = 14, SysResource = 24;

    /// <summary>Whether RLIMIT_MEMLOCK does not matter to it.</summary>
    public bool CanLockMemory => (Capabilities & (1UL << IpcLock)) != 0;

    /// <summary>Whether it may raise limits.</summary>
    public bool CanRaiseLimits => (Capabilities & (1UL << SysResource)) != 0;

    /// <summary>A process's status; null for one that has ended, or hides itself.</summary>
    public static ProcessStatus? Of(int process)
    {
        const string Users = "Uid:", Effective = "CapEff:";
        try
        {
            var lines = File.ReadAllLines($"/proc/{process}/status");
            return new ProcessStatus(
                int.Parse(Fields(lines, Users)[0], CultureInfo.InvariantCulture), ulong.Parse(Fields(lines, Effective)[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        static string[] Fields(string[] lines, string name)
            => Array.Find(lines, line => line.StartsWith(name, StringComparison.Ordinal))![name.Length..].Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>RLIMIT_MEMLOCK of a process in bytes, its soft limit; null for one that has ended, or hides itself.</summary>
    public static ulong? LockLimitOf(int process)
    {
        const string Locked = "Max locked memory";
        try
        {
            var limit = File.ReadLines($"/proc/{process}/limits").First(line => line.StartsWith(Locked, StringComparison.Ordinal))[Locked.Length..]
                .Split(' ', StringSplitOptions.RemoveEmptyEntries)[0];
            return ulong.TryParse(limit, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) ? bytes : ulong.MaxValue;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
