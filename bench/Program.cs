using IommuFd.Bench.Cluster;
using IommuFd.Bench.Harness;
using IommuFd.Bench.Sections;
using IommuFd.Silo;
using Microsoft.Extensions.DependencyInjection;

if (args is ["cluster-load", ..])
{
    return await ClusterLoad.RunAsync(args);
}

if (args is ["start-program", ..])
{
    return await StartSection.RunProgramAsync(args);
}

if (BenchOptions.Parse(args) is not { } options)
{
    Console.Error.WriteLine(BenchOptions.Usage);
    return 2;
}

var report = new Report(Machine.Current());
using (var silo = await SiloHost.StartInProcessAsync())
{
    report.PrintHeader();
    var run = new BenchRun(silo.Services.GetRequiredService<IGrainFactory>(), options, report);
    MicroSection.Run(run);
    await IoctlSection.RunAsync(run);
    await ScaleSection.RunAsync(run);
    await BusySection.RunAsync(run);
    await MappingSection.RunAsync(run);
    await RangeSection.RunAsync(run);
    await DeviceSection.RunAsync(run);
    await GuestSection.RunAsync(run);
    await ProgramsSection.RunAsync(run);
    await DevicesSection.RunAsync(run);
    await ReleaseSection.RunAsync(run);
    await MemorySection.RunAsync(run);
    await StartSection.RunAsync(run);
    await DurableSection.RunAsync(run);
    await RemoteSection.RunAsync(run);
    await TelemetrySection.RunAsync(run);
    await silo.StopAsync();
}

Console.WriteLine($"{report.Count} rows, {report.Misses} missed their target.");
if (options.JsonPath is { } path)
{
    report.WriteJson(path);
}

return 0;
