using Spectre.Console;

namespace IommuFd.Cli;

/// <summary>Shows how far long work is, on the error stream, where a person looks at it.</summary>
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
