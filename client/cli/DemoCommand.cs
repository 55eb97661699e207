using System.CommandLine;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd demo</c>: drives a context with encoded ioctls and prints each as strace would.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        var keep = new Option<bool>("--keep") { Description = "Keeps a context open at the end until Ctrl-C, and prints its handle for inspect and graph. Needs --gateway or --cluster." };
        var command = new Command("demo", "Shows what a context does: ioctls, holders, errnos and the order of release.") { keep, ConnectionOptions.DurableOption };
        ConnectionOptions.AddTo(command);
        command.SetAction(async (options, cancellationToken) =>
        {
            if (options.GetValue(keep) && !ConnectionOptions.NamesService(options))
            {
                throw new CliException("--keep keeps a context open for other commands to look at: name a silo with --gateway, or a cluster with --cluster.");
            }

            if (Console.IsOutputRedirected)
            {
                AnsiConsole.Profile.Width = 160;
            }

            await using var connection = await Connection.OpenAsync(options, cancellationToken);
            AnsiConsole.Console.Say($"Against {connection.Target}.");
            AnsiConsole.Console.Line("");
            var client = connection.CreateClient();
            await new Demo(client, AnsiConsole.Console).RunAsync(ConnectionOptions.ModeOf(options), options.GetValue(keep), cancellationToken);
            return 0;
        });
        return command;
    }
}

/// <summary>What the demo does and says, step by step.</summary>
internal sealed class Demo(IommufdClient client, IAnsiConsole console)
{
    public async Task RunAsync(ContextMode mode, bool keep, CancellationToken cancellationToken)
    {
        Say("Open a context, as opening /dev/iommu does. Its handle stands in for the file descriptor: who has it can act on the context.");
        var context = await client.OpenAsync("demo", mode, cancellationToken);
        console.Say($"  open() = [green]{context.Handle.Key.Tag}[/]  {Format.Mode(context.Mode)}: it {(context.Mode == ContextMode.Durable ? "outlives" : "ends with")} its silo");

        Say("Allocate two IO address spaces. Each gets the lowest free id.");
        var first = await AllocateAsync(context);
        var second = await AllocateAsync(context);

        Say("A driver takes a reference to the context and holds the first IOAS, whose users count is 2 now.");
        var driver = await client.GetDriverAsync(context.Handle, "vfio-pci 0000:01:00.0", cancellationToken);
        var hold = await driver.HoldAsync(first, "bound device", cancellationToken: cancellationToken);
        console.Say($"  driver '{"vfio-pci 0000:01:00.0"}' holds IOAS {first}");

        Say("DESTROY of a held object answers EBUSY at once, changes nothing, and says who holds it.");
        await DestroyAsync(context, first);

        Say("Other mistakes, each with the errno that Linux answers:");
        await DestroyAsync(context, new ObjectId(77));
        await IssueAsync(context, (uint)IommuCommand.Destroy, [16, 0, 0, 0, (byte)second.Value, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        await IssueAsync(context, (uint)IommuCommand.Destroy, [7, 0, 0, 0, (byte)second.Value, 0, 0, 0]);
        await IssueAsync(context, (uint)IommuCommand.IoasAlloc, UapiStruct.ToBytes(new IommuIoasAlloc { Size = 12, Flags = 1 }));
        await IssueAsync(context, 0x3B9F, [8, 0, 0, 0, 1, 0, 0, 0]);
        await IssueAsync(context, (uint)IommuCommand.Option, UapiStruct.ToBytes(new IommuOption { Size = 24, Op = (ushort)IommuOptionOp.Set, Val64 = 1 }));

        Say("An option of an object is kept by the object's own grain.");
        await IssueAsync(context, (uint)IommuCommand.Option, UapiStruct.ToBytes(
            new IommuOption { Size = 24, OptionId = (uint)IommuOptionId.HugePages, Op = (ushort)IommuOptionOp.Set, ObjectId = second.Value, Val64 = 0 }));
        InspectCommand.Write(console, context.Handle, await context.InspectAsync(withState: true, cancellationToken: cancellationToken));

        Say("The driver drops its hold. Now DESTROY succeeds, and the id is free at once.");
        await hold.DropAsync(cancellationToken);
        await DestroyAsync(context, first);
        await AllocateAsync(context);
        await AllocateAsync(context);

        Say("The driver binds two devices and attaches them to the second IOAS. They share the hardware page table (HWPT) that the first attach makes.");
        var devices = new[] { await BindAsync(driver, "0000:01:00.0", second), await BindAsync(driver, "0000:02:00.0", second) };

        Say("Who holds the IOAS? Its HWPT does. The devices hold the HWPT, and the driver holds the devices.");
        await DestroyAsync(context, second);
        GraphView.Write(console, await context.InspectGraphAsync(second, GraphDirection.Holders, cancellationToken: cancellationToken), hasRoot: true);

        Say("The driver detaches the devices. The last detach destroys the HWPT, so that the IOAS can be destroyed too.");
        await devices[0].DetachAsync(cancellationToken: cancellationToken);
        await devices[1].DetachAsync(cancellationToken: cancellationToken);
        await DestroyAsync(context, second);
        await AllocateAsync(context);

        if (keep)
        {
            await BindAsync(driver, "0000:01:00.0", second);
            Say("The context stays open until Ctrl-C, with a driver and its device. Look at it with:");
            console.Line($"  iommufd inspect {context.Handle} --gateway ADDRESS:PORT");
            console.Line($"  iommufd graph {context.Handle} --gateway ADDRESS:PORT");
            await Task.Delay(Timeout.Infinite, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await driver.DisposeAsync();
            await context.DisposeAsync();
            return;
        }

        Say("Close. The driver still refers to the context, which is therefore not released yet, but answers no more ioctls.");
        Released(await context.CloseAsync(cancellationToken));
        await DestroyAsync(context, second);

        Say("The driver puts its reference, the last one. Everything left is destroyed, leaves first.");
        Released(await driver.PutAsync(cancellationToken));
    }

    private async Task<IommuDevice> BindAsync(IommuDriver driver, string name, ObjectId pageTable)
    {
        var device = await driver.BindDeviceAsync(new DeviceDescription { Name = name });
        var hwpt = await device.AttachAsync(pageTable);
        console.Say($"  device {name} is {device.Id}, attached to IOAS {pageTable} by HWPT {hwpt}");
        return device;
    }

    private async Task<ObjectId> AllocateAsync(IommuContext context)
    {
        var result = await IssueAsync(context, (uint)IommuCommand.IoasAlloc, UapiStruct.ToBytes(new IommuIoasAlloc { Size = 12 }));
        return new ObjectId(result.ThrowIfFailed().Read<IommuIoasAlloc>().OutIoasId);
    }

    private Task<IoctlResult> DestroyAsync(IommuContext context, ObjectId id)
        => IssueAsync(context, (uint)IommuCommand.Destroy, UapiStruct.ToBytes(new IommuDestroy { Size = 8, Id = id.Value }));

    private async Task<IoctlResult> IssueAsync(IommuContext context, uint command, byte[] argument)
    {
        var before = argument.ToArray();
        var result = await context.IoctlAsync(command, argument);
        console.Markup($"  [bold]{IoctlText.Name(command)}[/] {Terminal.Cell(IoctlText.Decode(command, before))} = ");
        if (result.Succeeded)
        {
            console.Say($"[green]0[/] {IoctlText.Changes(command, before, argument)}");
        }
        else
        {
            console.Say($"[red]{result.Errno}[/]  {result.Diagnostic?.ToString() ?? ""}");
        }

        return result;
    }

    private void Released(ReleaseReport? release)
        => console.Line(release is null
            ? "  close() = 0  the context still has references"
            : $"  close() = 0  released {release.Destroyed}: {string.Join(", then ", release.Order)}");

    private void Say(string text)
    {
        console.Line("");
        console.Say($"[blue]{text}[/]");
    }
}
