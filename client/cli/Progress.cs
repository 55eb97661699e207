using Spectre.Console;

namespace IommuFd.Cli;

/// <summary>Shows the progress of long work on the error stream, if that is a terminal.</summary>
internal static class Progress
{
    /// <summary>Runs work of a known number of steps; the work calls back after each.</summary>
    public static async Task RunAsync(string title, int steps, Func<Action, Task> work)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        if (Console.IsErrorRedirected || !console.Profile.Capabilities.Interactive)
        {
            await work(() => { });
            return;
        }

        await console.Progress().AutoClear(true).StartAsync(async progress =>
        {
            var task = progress.AddTask(title, maxValue: Math.Max(steps, 1));
            await work(() => task.Increment(1));
        });
    }
}
