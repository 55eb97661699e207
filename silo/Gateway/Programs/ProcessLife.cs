using Microsoft.Win32.SafeHandles;

namespace IommuFd.Silo.Gateway.Programs;

// A device looks at each access whether the program is still there whose memory it reaches. Linux has a descriptor for a process (pidfd), which says so at the cost of a
// system call; to read /proc takes as long as all the rest of an access. Where a descriptor can't be had, or is closed, /proc is read.

/// <summary>Whether a process is still the one that it was. Thread-safe.</summary>
internal sealed class ProcessLife : IDisposable
{
    private const short CanRead = 1;

    private readonly int _process;
    private readonly string? _begun;
    private readonly SafeFileHandle _handle;

    public ProcessLife(int process)
    {
        // What is read first can only be of the process that the descriptor is of, or of one that has ended.
        (_process, _begun) = (process, BeginOf(process));
        _handle = new SafeFileHandle(Native.OpenProcess(process, 0), ownsHandle: true);
    }

    /// <summary>Whether it has ended.</summary>
    public unsafe bool IsOver
    {
        get
        {
            var isHeld = false;
            try
            {
                if (_handle.IsInvalid || _begun is null)
                {
                    return BeginOf(_process) != _begun || _begun is null;
                }

                _handle.DangerousAddRef(ref isHeld);
                var request = new Native.PollRequest { FileDescriptor = (int)_handle.DangerousGetHandle(), Events = CanRead };
                return Native.Poll(&request, 1, 0) != 0;
            }
            catch (ObjectDisposedException)
            {
                return BeginOf(_process) != _begun;
            }
            finally
            {
                if (isHeld)
                {
                    _handle.DangerousRelease();
                }
            }
        }
    }

    /// <summary>When a process began, which tells it from a later one with its number; null for one that has ended, even if nobody has waited for it yet.</summary>
    public static string? BeginOf(int process)
    {
        const int State = 0, Start = 19;
        try
        {
            // "NUMBER (NAME) STATE ...", where the name may have spaces and parentheses.
            var stat = File.ReadAllText($"/proc/{process}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[State] is "Z" or "X" ? null : fields[Start];
        }
        catch (IOException)
        {
            return null;
        }
    }

    public void Dispose() => _handle.Dispose();
}
