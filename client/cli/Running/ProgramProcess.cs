using System.Diagnostics;
using System.Runtime.InteropServices;

namespace IommuFd.Cli.Running;

// The program stays in this process's group, and so in the terminal's foreground. What a key sends there (Ctrl-C, Ctrl-\, Ctrl-Z, a new size of the window), the terminal
// sends to the program itself: passing it on would give it twice.

/// <summary>The program that is run: its signals and its status.</summary>
internal sealed partial class ProgramProcess : IDisposable
{
    // Linux's numbers.
    private const int Hangup = 1;
    private const int Interrupt = 2;
    private const int Quit = 3;
    private const int User1 = 10;
    private const int User2 = 12;
    private const int Terminate = 15;
    private const int Continue = 18;
    private const int Stop = 19;
    private const int TerminalStop = 20;
    private const int WindowChange = 28;

    private static readonly int[] FromTerminal = [Interrupt, Quit, TerminalStop, WindowChange];

    private static readonly int[] Passed = [.. FromTerminal, Hangup, User1, User2, Terminate, Continue];

    private readonly BridgeFiles _files;
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly List<int> _early = [];
    private Process? _process;

    /// <summary>From now on, signals are the program's.</summary>
    public ProgramProcess(BridgeFiles files)
    {
        _files = files;
        foreach (var signal in Passed)
        {
            _signals.Add(PosixSignalRegistration.Create((PosixSignal)signal, Pass));
        }
    }

    /// <summary>Runs the program to its end.</summary>
    /// <returns>Its exit status; 128 and the signal's number if a signal ended it.</returns>
    public async Task<int> RunAsync(string socket, string? trace, string[] flags, string[] program, IEnumerable<KeyValuePair<string, string>> environment)
    {
        var start = new ProcessStartInfo(_files.Launcher, ["--socket", socket, "--bridge", _files.Bridge, .. flags, "--", .. program]);
        if (trace is not null)
        {
            start.Environment["IOMMUFD_TRACE"] = trace;
        }

        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        lock (_early)
        {
            using (OpenFilesLimit.Lower())
            {
                _process = Process.Start(start)!;
            }

            _early.ForEach(Send);
        }

        await _process.WaitForExitAsync();
        return _process.ExitCode;
    }

    public void Dispose()
    {
        _signals.ForEach(signal => signal.Dispose());
        _process?.Dispose();
    }

    private static bool IsInForeground()
    {
        try
        {
            using var terminal = File.OpenHandle("/dev/tty");
            return ForegroundGroup((int)terminal.DangerousGetHandle()) == OwnGroup();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private void Pass(PosixSignalContext signal)
    {
        signal.Cancel = true;
        var number = (int)signal.Signal;
        lock (_early)
        {
            if (_process is null && number != TerminalStop)
            {
                _early.Add(number);
            }
            else if (Array.IndexOf(FromTerminal, number) < 0 || !IsInForeground())
            {
                Send(number);
            }
        }

        // A shell waits for this process: it stops with the program, so that the shell notices.
        if (number == TerminalStop)
        {
            _ = Kill(Environment.ProcessId, Stop);
        }
    }

    private void Send(int signal)
    {
        if (_process is { HasExited: false })
        {
            _ = Kill(_process.Id, signal);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "getpgrp")]
    private static partial int OwnGroup();

    [LibraryImport("libc", EntryPoint = "tcgetpgrp")]
    private static partial int ForegroundGroup(int terminal);
}
