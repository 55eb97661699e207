using System.Diagnostics;
using Xunit;

namespace IommuFd.TestSupport;

/// <summary>One of the project's programs in its own process, with its output.</summary>
public sealed class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly List<string> _output = [];
    private readonly SemaphoreSlim _printed = new(0);
    private int _endedStreams;

    private ChildProcess(Process process) => _process = process;

    /// <summary>Everything printed so far, on both streams.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return string.Join('\n', _output);
            }
        }
    }

    /// <summary>Reads at its end what it has printed, and fails then if that has a handle. Null for a program that is to show one.</summary>
    public HandleWatch? Watch { get; set; } = HandleWatch.Shared;

    /// <summary>The number of its process.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has exited.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>The bytes of memory that it has in use.</summary>
    public long WorkingSet
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>Completes when it has exited, for any reason.</summary>
    public Task Exited { get; private init; } = Task.CompletedTask;

    /// <summary>Called with each line that it prints on either stream, from one thread or two.</summary>
    public event Action<string>? Printed;

    /// <summary>Starts <c>iommufd.dll</c> or <c>iommufd-silo.dll</c> from this test's folder.</summary>
    public static ChildProcess Start(string program, params string[] arguments) => Start([], program, arguments);

    /// <summary>Starts a program from this test's folder with additional environment variables.</summary>
    public static ChildProcess Start(Dictionary<string, string> environment, string program, params string[] arguments)
        => StartCommand(environment, "dotnet", [Path.Combine(AppContext.BaseDirectory, program), .. arguments]);

    /// <summary>Starts a command that becomes one of the programs, or runs beside them.</summary>
    public static ChildProcess StartCommand(Dictionary<string, string> environment, string command, params string[] arguments)
    {
        var start = new ProcessStartInfo(command) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };

        // Tests run many silos on this machine; tests of the dashboard enable it.
        start.Environment["Dashboard__Enabled"] = "false";
        start.Environment[TestSecret.Variable] = TestSecret.Path;
        start.Environment[HandleWatch.PrintOpened.Name] = HandleWatch.PrintOpened.Value;
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        var exited = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var child = new ChildProcess(new Process { StartInfo = start, EnableRaisingEvents = true }) { Exited = exited.Task };
        child._process.OutputDataReceived += child.OnLine;
        child._process.ErrorDataReceived += child.OnLine;
        child._process.Exited += (_, _) => exited.TrySetResult();
        child._process.Start();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Waits until it has printed a line that contains a text.</summary>
    public Task WaitForLineAsync(string text) => WaitForAsync(output => output.Contains(text, StringComparison.Ordinal), $"'{text}'");

    /// <summary>Waits until what it has printed fulfils a condition.</summary>
    public async Task WaitForAsync(Predicate<string> isMet, string what)
    {
        var waited = Stopwatch.StartNew();
        while (!isMet(Output))
        {
            Assert.False(HasExited || Volatile.Read(ref _endedStreams) == 2, $"it exited without printing {what}:\n{Output}");
            var left = Eventually.Limit - waited.Elapsed;
            Assert.True(left > TimeSpan.Zero && await _printed.WaitAsync(left), $"it did not print {what} within {Eventually.Limit}:\n{Output}");
        }
    }

    /// <summary>Ends its standard input.</summary>
    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>Writes a line to its standard input.</summary>
    public async Task WriteLineAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Sends a signal, as <c>kill -NAME</c> does.</summary>
    public async Task SignalAsync(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", $"{_process.Id}"]);
        await kill.WaitForExitAsync();
        Assert.Equal(0, kill.ExitCode);
    }

    /// <summary>Waits until it exits by itself.</summary>
    public async Task<int> WaitForExitAsync()
    {
        try
        {
            await _process.WaitForExitAsync().WaitAsync(Eventually.Limit);
        }
        catch (TimeoutException)
        {
            Assert.Fail($"it did not exit within {Eventually.Limit}:\n{Output}");
        }

        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        // Also for the end of what it prints.
        await _process.WaitForExitAsync();
        _process.Dispose();
        _printed.Dispose();
        Watch?.ReadOutput(Output);
        Watch?.ExpectNone();
    }

    private void OnLine(object sender, DataReceivedEventArgs line)
    {
        if (line.Data is not { } text)
        {
            Interlocked.Increment(ref _endedStreams);
            _printed.Release();
            return;
        }

        lock (_output)
        {
            _output.Add(text);
        }

        _printed.Release();
        Printed?.Invoke(text);
    }
}
